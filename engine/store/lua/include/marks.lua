-- marks: runs that are held: paused, or with parts of their plan closed. One hash, empty most of the time.
-- A run's marks: `p` when it is paused, then `;from-to` for every scope of its plan that is closed somewhere;
-- where, as `from-to.indices`, stands in a set of the run's own: a race inside an each has many winners.
local marks = { any = redis.call('HLEN', key.held()) > 0, seen = {}, fresh = {} }

function marks.of(run)
  if not marks.any then return '' end
  if marks.seen[run] == nil then marks.seen[run] = redis.call('HGET', key.held(), run) or '' end
  return marks.seen[run]
end

function marks.paused(text) return string.sub(text, 1, 1) == 'p' end
function marks.scopes(text) return string.match(text, ';.*') or '' end

-- The marks with one more scope.
function marks.with(text, pair)
  return string.find(text .. ';', ';' .. pair .. ';', 1, true) and text or text .. ';' .. pair
end

-- Whether a position lies in a closed scope: between its nodes, and at or below its indices. `ask` is how to read.
function marks.closed(run, text, position, ask)
  local number, indices = string.match(position, '^(%d+)(.*)$')
  if not number then return false end -- what undoes is never closed
  number = tonumber(number)
  for pair, from, to in string.gmatch(text, ';((%d+)%-(%d+))') do
    if number > tonumber(from) and number < tonumber(to) then
      local names = { pair }
      for index in string.gmatch(indices, '%.%d+') do names[#names + 1] = names[#names] .. index end
      local found = ask('SMISMEMBER', key.scopes(run), unpack(names))
      for i = 1, #names do
        if found[i] == 1 or (marks.fresh[run] and marks.fresh[run][names[i]]) then return true end
      end
    end
  end
  return false
end
