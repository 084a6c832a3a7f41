-- marks: runs that are held: paused, or with parts of their plan closed. One hash, empty most of the time.
-- A run's marks: `p` when it is paused, then `;from-to.indices` for every scope that is closed.
local marks = { any = redis.call('HLEN', key.held()) > 0, seen = {} }

function marks.of(run)
  if not marks.any then return '' end
  if marks.seen[run] == nil then marks.seen[run] = redis.call('HGET', key.held(), run) or '' end
  return marks.seen[run]
end

function marks.paused(text) return string.sub(text, 1, 1) == 'p' end

-- Whether a position lies in a closed scope: between its nodes, and at or below its indices.
function marks.closed(text, position)
  local number, indices = string.match(position, '^(%d+)(.*)$')
  if not number then return false end -- what undoes is never closed
  number = tonumber(number)
  for from, to, below in string.gmatch(text, ';(%d+)%-(%d+)([%d.]*)') do
    if number > tonumber(from) and number < tonumber(to)
      and (indices == below or string.sub(indices, 1, #below + 1) == below .. '.') then return true end
  end
  return false
end
