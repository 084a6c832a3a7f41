-- arrivals: messages that become visible. Gathered while a script still reads, written by `land`.
-- needs: record, slices, check
local arrivals = {}

arrivals.fresh = {}      -- message id, record, ... for HSET messages
arrivals.waiting = {}    -- key of a waiting set -> {queue, tenant, score, id, score, id, ...}
arrivals.due_list = {}   -- due, id, ... for ZADD delayed
arrivals.counts = {}     -- queue -> field -> change
arrivals.queues = {}     -- queue -> what it was at the first look
arrivals.touched = {}    -- queue -> true where work appeared
arrivals.suspected = {}  -- {key, score, id} for ZADD
arrivals.given = 0
arrivals.last_order = nil

-- A queue as the script finds it, read once; its fields are counted up from there.
function arrivals.queue_seen(queue)
  local seen = arrivals.queues[queue]
  if not seen then
    local found = redis.call('HMGET', key.queue(queue), 'known', 'vtime', 'waiting', 'delayed')
    seen = { known = found[1], vtime = found[2] or '0', waiting = found[3], delayed = found[4], signalled = redis.call('LLEN', key.wake(queue)) > 0 }
    if not seen.known then check('SCARD', key.queues()) end
    arrivals.queues[queue] = seen
  end
  return seen
end

function arrivals.count(queue, field, change)
  local fields = arrivals.counts[queue]
  if not fields then
    arrivals.queue_seen(queue)
    arrivals.counts[queue] = { [field] = change }
  else
    fields[field] = (fields[field] or 0) + change
  end
end

function arrivals.next_order(priority)
  if not arrivals.last_order then arrivals.last_order = tonumber(redis.call('GET', key.order()) or '0') end
  arrivals.given = arrivals.given + 1
  -- The newest is the lowest of its priority: it goes to the near end of a small sorted set, which is quick.
  return (priority + 1) * BAND - arrivals.last_order - arrivals.given
end

-- Puts a message, whose record is stored or being stored, at its place among the waiting.
function arrivals.wait_at(queue, tenant, order, message)
  local name = key.waiting(queue, tenant)
  local set = arrivals.waiting[name]
  if not set then
    set = { order, message, queue = queue, tenant = tenant, was_empty = redis.call('ZCARD', name) == 0 }
    if set.was_empty then check('ZCARD', key.ring(queue)) end
    arrivals.waiting[name] = set
  else
    local last = #set
    set[last + 1], set[last + 2] = order, message
  end
  arrivals.count(queue, 'waiting', 1)
  arrivals.touched[queue] = true
end

-- Puts a message among the delayed.
function arrivals.wait_until(queue, due, message)
  check('ZCARD', key.delayed())
  arrivals.due_list[#arrivals.due_list + 1] = due
  arrivals.due_list[#arrivals.due_list + 1] = message
  arrivals.count(queue, 'delayed', 1)
end

-- A message of a dead process goes apart: it may be why the process died.
function arrivals.suspect_at(queue, order, message)
  check('ZCARD', key.suspects(queue))
  arrivals.suspected[#arrivals.suspected + 1] = { key.suspects(queue), order, message }
  arrivals.count(queue, 'waiting', 1)
  arrivals.touched[queue] = true
end

-- A new message: stored, and made visible now or when it falls due.
function arrivals.send(now, message, kind, queue, tenant, priority, allowed, delay, body)
  check('HLEN', key.messages())
  local order = string.format('%d', arrivals.next_order(priority))
  local due = delay > 0 and now + delay or now
  local fresh = arrivals.fresh
  local last = #fresh
  fresh[last + 1], fresh[last + 2] = message, record_of(kind, '1', '-', allowed, order, due, queue, tenant, body)
  if delay > 0 then arrivals.wait_until(queue, due, message) else arrivals.wait_at(queue, tenant, order, message) end
end

-- Neither of these two can fail: where another queue's key is broken, that queue goes without.
function arrivals.signal(queue)
  local seen = arrivals.queues[queue]
  if seen and seen.signalled then return end
  local wake = key.wake(queue)
  if seen or redis.pcall('LLEN', wake) == 0 then redis.call('LPUSH', wake, '1') end
  if seen then seen.signalled = true end
end

-- A tenant that has something to run joins the ring, no earlier than those it finds there.
function arrivals.enter_ring(queue, tenant)
  local seen = arrivals.queues[queue]
  local vtime = seen and seen.vtime or redis.pcall('HGET', key.queue(queue), 'vtime')
  redis.pcall('ZADD', key.ring(queue), 'NX', type(vtime) == 'string' and vtime or '0', tenant)
end

-- Writes all of it. Nothing read above may be read again before this.
function arrivals.land()
  if arrivals.given > 0 then redis.call('INCRBY', key.order(), arrivals.given) end
  call_sliced('HSET', key.messages(), arrivals.fresh)
  local earliest = nil
  if #arrivals.due_list > 0 then
    earliest = redis.call('ZRANGE', key.delayed(), 0, 0, 'WITHSCORES')[2]
    call_sliced('ZADD', key.delayed(), arrivals.due_list)
  end
  for name, set in pairs(arrivals.waiting) do
    call_sliced('ZADD', name, set)
    -- A tenant with messages stands in the ring already, or was set aside on purpose.
    if set.was_empty then arrivals.enter_ring(set.queue, set.tenant) end
  end
  for i = 1, #arrivals.suspected do redis.call('ZADD', unpack(arrivals.suspected[i])) end
  for queue, fields in pairs(arrivals.counts) do
    for field, change in pairs(fields) do
      if change ~= 0 then redis.call('HINCRBY', key.queue(queue), field, change == 1 and '1' or change) end
    end
    if not arrivals.queues[queue].known and (fields.waiting or fields.delayed or fields.dead) then
      redis.call('SADD', key.queues(), queue)
      redis.call('HSET', key.queue(queue), 'known', 1)
    end
    if fields.delayed and not arrivals.touched[queue] then
      for i = 1, #arrivals.due_list, 2 do
        if not earliest or arrivals.due_list[i] < tonumber(earliest) then arrivals.touched[queue] = true break end
      end
    end
  end
  for queue in pairs(arrivals.touched) do arrivals.signal(queue) end
end

-- Makes ready to gather and land once more.
function arrivals.clear()
  arrivals.fresh, arrivals.waiting, arrivals.due_list, arrivals.suspected, arrivals.counts, arrivals.touched = {}, {}, {}, {}, {}, {}
  arrivals.given, arrivals.last_order = 0, nil
end
