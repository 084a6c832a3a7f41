-- depth: whether a queue takes more from senders. Commits, retries and redrives do not ask: their work is under way.
-- needs: arrivals
local depth = { most = {} } -- queue -> messages it may hold before a sender is refused

-- What the queue holds, waiting and delayed, this call's included, where that is all it may hold; else nil.
function depth.full(queue)
  local most = depth.most[queue]
  if not most then return nil end
  local seen, added = arrivals.queue_seen(queue), arrivals.counts[queue] or {}
  local held = tonumber(seen.waiting or '0') + tonumber(seen.delayed or '0') + (added.waiting or 0) + (added.delayed or 0)
  return held >= most and held or nil
end

-- The first full queue among those that a run's first edges send to, and what it holds.
function depth.full_of(edges)
  if not next(depth.most) then return nil end
  for i = 1, #edges do
    local e = edges[i]
    local queue = (e[1] == 'send' and e[3]) or (e[1] == 'each' and e[5]) or nil
    local held = queue and depth.full(queue)
    if held then return queue, held end
  end
end
