-- fetch: leases runnable messages to a consumer: promotes what is due, chooses tenants fairly, skips what may not run.
-- KEYS    1 prefix of the shard
-- ARGV    1 consumer, 2 number of this fetch, 3 messages wanted, 4 1 if the consumer holds nothing, - if it cannot
--         empty itself now, else 0, 5.. queues, in order of priority, each followed by its share of the wanted messages,
--         which is below 0 where the queue may give no more than that
-- RETURNS {now ms, ms until something falls due (-1: nothing), suspects wait 0|1, more is runnable 0|1,
--         {id, token, record, inputs or false}...}
-- ERRORS  GONE the consumer was taken for dead: come back under a new id
-- COST    O(log tenants + log waiting) a message
-- FLAGS   allow-oom
-- include: clock
-- include: record
-- include: slices
-- include: check
-- include: arrivals
-- include: graves
-- include: due
-- include: marks
-- include: deliveries

local HEADER = '^%l %d+ %S+ %d+ %d+ %d+ %S+ %S+\n'
local UNTIL_RESUMED = '9000000000000000' -- in no life of ours
local now = clock_ms()
local consumer, number, wanted, idle = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local lease = key.lease(consumer)
local me = redis.call('HMGET', key.consumer(consumer), 'fetch', 'token', 'pid')
if not me[3] then return redis.error_reply('GONE ' .. consumer) end
local holding = redis.call('HLEN', lease)
check('HLEN', key.messages())
check('STRLEN', key.token())
check('SCARD', key.queues())
local any_limits = redis.call('HLEN', key.limits()) > 0
if any_limits then check('HLEN', key.leased()) end
local any_cancelled = redis.call('ZCARD', key.cancelled()) > 0

-- Each queue is read once; that it has a ring or not is kept up to date.
local states = {}
for i = 5, #ARGV, 2 do
  local queue = ARGV[i]
  local found = redis.call('HMGET', key.queue(queue), 'paused', 'limit', 'leased', 'known', 'vtime')
  local suspects = redis.call('ZCARD', key.suspects(queue))
  if suspects > 0 then check('STRLEN', key.solo(queue)) end
  states[queue] = { paused = found[1], limit = found[2], leased = found[3], suspects = suspects,
    has_ring = redis.call('ZCARD', key.ring(queue)) > 0 }
  arrivals.queues[queue] = { known = found[4], vtime = found[5] or '0', signalled = redis.call('LLEN', key.wake(queue)) > 0 }
end

-- The same number again: the reply was lost, so the same batch.
if me[1] == number then
  local again = { now, 0, 0, 1 }
  local held, batch = redis.call('HGETALL', lease), {}
  for i = 1, #held, 2 do
    local of_batch, solitary = token_of(held[i + 1])
    if of_batch == me[2] then
      if solitary then again[3] = 1 end
      local record = redis.call('HGET', key.messages(), held[i])
      if record then batch[#batch + 1] = { tonumber((select(5, header_of(record)))) or 0, delivery(held[i], me[2], record) } end
    end
  end
  table.sort(batch, function(a, b) return a[1] > b[1] end)
  for i = 1, #batch do again[#again + 1] = batch[i][2] end
  return again
end

local taken, owners, taken_of = {}, {}, {} -- ids; tenant of each; tenant -> number taken
local queue_of, taken_from = {}, {}
local limits_seen = {}
local VISITED_AT_MOST = 256 -- tenants looked at in one call; the rest is for the next
local visited, full = 0, {} -- full: queues at their limit

local function limits_of(tenant)
  if not any_limits then return nil end
  local limits = limits_seen[tenant]
  if limits == nil then
    local seen = redis.call('HMGET', key.limits(), tenant, '*')
    limits = (seen[1] or seen[2]) and cmsgpack.unpack(seen[1] or seen[2]) or false
    if limits then limits.of_all = not seen[1] end
    limits_seen[tenant] = limits
  end
  return limits
end

-- How many messages a tenant may have now, and if none what it waits for: 'slot', 'paused' or a time (ms).
local function allowance(tenant, limits, wish)
  local concurrent, per_minute, paused = limits[1], limits[2], limits[4]
  if paused then return 0, 'paused' end
  local allowed = wish
  if concurrent then
    local held = tonumber(redis.call('HGET', key.leased(), tenant) or '0') + (taken_of[tenant] or 0)
    if held >= concurrent then return 0, 'slot' end
    allowed = math.min(allowed, concurrent - held)
  end
  if per_minute then
    local already = taken_of[tenant] or 0
    local left = 0
    local oldest
    while left < allowed do
      local at = per_minute - 1 - already - left
      if at < 0 then break end
      local past = redis.pcall('LINDEX', key.rate(tenant), at)
      if type(past) == 'table' then return 0, now + 60000 end -- a broken key hurts its own tenant alone
      if past and now - tonumber(past) < 60000 then oldest = tonumber(past) break end
      left = left + 1
    end
    if left == 0 then return 0, oldest and (oldest + 60000) or (now + 60000) end
    allowed = left
  end
  return allowed, nil
end

local function set_aside(queue, tenant, cause)
  if cause == 'slot' or cause == 'paused' then
    redis.pcall('SADD', key.parked(tenant), queue)
    if limits_of(tenant).of_all then redis.pcall('SADD', key.parked('*'), queue .. ' ' .. tenant) end
  else
    redis.call('ZADD', key.throttled(), cause, queue .. ' ' .. tenant)
    due.rate = math.min(due.rate, cause)
  end
end

-- Waiting sets are only read here; what was taken from them leaves when all is known.
local lines = {}   -- key of a waiting set -> number taken from its near end
local drained = {} -- keys of waiting sets where nothing is left
local digits = {}  -- small numbers as text: the server would turn them into it anew each time

local function text_of(number_small)
  local text = digits[number_small]
  if not text then
    text = string.format('%d', number_small)
    digits[number_small] = text
  end
  return text
end

local function take(queue, tenant, number_wanted)
  local name = key.waiting(queue, tenant)
  local from = lines[name] or 0
  -- One more tells what is left.
  local found = redis.pcall('ZRANGE', name, text_of(from), text_of(from + number_wanted), 'REV')
  if found.err then return 0, true end -- a broken key hurts its own tenant alone
  local number_taken = math.min(#found, number_wanted)
  local before = #taken
  for i = 1, number_taken do
    local at = before + i
    taken[at], owners[at], queue_of[at] = found[i], tenant, queue
  end
  taken_of[tenant] = (taken_of[tenant] or 0) + number_taken
  if #found > number_wanted then
    lines[name] = from + number_taken
    return number_taken, false
  end
  lines[name] = nil
  drained[#drained + 1] = name
  return number_taken, true
end

local function leave_lines()
  for name, number_taken in pairs(lines) do redis.call('ZREMRANGEBYRANK', name, -number_taken, -1) end
  if #drained > 0 then redis.call('DEL', unpack(drained)) end
end

-- A virtual time as text, exactly; most are whole numbers, which are quicker to write.
local function time_text(time)
  return string.format(time % 1 == 0 and '%d' or '%.17g', time)
end

local function weights_of(head)
  local weights, total = {}, 0
  for i = 1, #head do
    local limits = limits_of(head[i])
    weights[i] = limits and limits[3] or 1
    total = total + weights[i]
  end
  return weights, total
end

-- One round: the tenants at the head of the ring, each by its weight. Returns how many messages it took, the
-- virtual time of the head, and whether tenants may be left.
local function serve_round(queue, room)
  local ring = key.ring(queue)
  local head = redis.call('ZRANGE', ring, '0', text_of(room - 1))
  if #head == 0 then return 0, nil, false end
  local weights, total = nil, #head
  if any_limits then weights, total = weights_of(head) end
  local served, stay, moves, leave = 0, { head[1] }, { 0 }, {}
  for i = 1, #head do
    if served >= room then break end
    local tenant = head[i]
    local limits, weight = nil, 1
    if any_limits then limits, weight = limits_of(tenant), weights[i] end
    local wish = math.min(math.max(1, math.floor(room * weight / total)), room - served)
    local cause
    if limits then wish, cause = allowance(tenant, limits, wish) end
    visited = visited + 1
    if cause then
      set_aside(queue, tenant, cause)
      leave[#leave + 1] = tenant
    else
      local got, empty = take(queue, tenant, wish)
      served = served + got
      if empty then
        leave[#leave + 1] = tenant
      else
        stay[#stay + 1] = tenant
        moves[#stay] = got / weight
      end
    end
  end
  -- Times are read of those alone that go on: most of a great crowd have one message, and leave.
  local times = redis.call('ZMSCORE', ring, unpack(stay))
  if #stay > 1 then
    local moved = {}
    for i = 2, #stay do
      moved[#moved + 1] = time_text(times[i] + moves[i])
      moved[#moved + 1] = stay[i]
    end
    redis.call('ZADD', ring, unpack(moved))
  end
  if #leave > 0 then redis.call('ZREM', ring, unpack(leave)) end
  return served, times[1], #leave < #head or #head == room
end

local function serve(queue, room)
  local state = states[queue]
  if state.paused then return 0 end
  local at_most, left = room, nil
  if state.limit then
    left = tonumber(state.limit) - tonumber(state.leased or '0') - (taken_from[queue] or 0)
    at_most = math.min(room, left)
  end
  local served, vtime = 0, nil
  while state.has_ring and served < at_most and visited < VISITED_AT_MOST do
    local got, head, has_ring = serve_round(queue, at_most - served)
    vtime = head or vtime
    served = served + got
    state.has_ring = has_ring
  end
  local seen = arrivals.queues[queue]
  if vtime and vtime ~= seen.vtime then
    redis.call('HSET', key.queue(queue), 'vtime', vtime)
    seen.vtime = vtime
  end
  taken_from[queue] = (taken_from[queue] or 0) + served
  if left and served >= left then full[queue] = true end
  return served
end

-- The first suspect that can run. Those that went with their runs are taken before it, to be dropped with the others.
local function next_suspect(queue)
  arrivals.count(queue, 'waiting', 0)
  for _ = 1, PROMOTED_AT_MOST do
    local id = redis.call('ZPOPMAX', key.suspects(queue))[1]
    if not id then return nil end
    local record = redis.call('HGET', key.messages(), id)
    local tenant = record and select(8, header_of(record)) or 'default'
    taken[#taken + 1] = id
    owners[#taken], queue_of[#taken] = tenant, queue
    taken_of[tenant] = (taken_of[tenant] or 0) + 1
    taken_from[queue] = (taken_from[queue] or 0) + 1
    local undoes = record and string.sub(record, 1, 1) == 'u'
    if record and (undoes or not redis.call('ZSCORE', key.cancelled(), run_of(id))) then return id end
  end
end

if due.promote(now) then
  for queue, state in pairs(states) do state.has_ring = redis.call('EXISTS', key.ring(queue)) == 1 end
end

-- A consumer that holds nothing may take one suspect, alone; while none such comes, one of them empties itself.
local suspects_wait = 0
local alone = nil
for i = 5, #ARGV, 2 do
  local queue = ARGV[i]
  if states[queue].suspects > 0 and not states[queue].paused then
    local claim = key.solo(queue)
    local holder = redis.call('GET', claim)
    if idle or (ARGV[4] ~= '-' and (not holder or holder == consumer)) then
      redis.call('SET', claim, consumer, 'PX', 10000)
      suspects_wait = 1
      if idle then
        alone = next_suspect(queue)
        if not alone and redis.call('ZCARD', key.suspects(queue)) == 0 then suspects_wait = 0 end
      end
      if suspects_wait == 1 then break end
    end
  end
end

if suspects_wait == 0 then
  local room = wanted
  for i = 5, #ARGV, 2 do
    if room <= 0 then break end
    room = room - serve(ARGV[i], math.min(room, math.abs(ARGV[i + 1])))
  end
  for i = 5, #ARGV, 2 do
    if room <= 0 then break end
    if tonumber(ARGV[i + 1]) > 0 then room = room - serve(ARGV[i], room) end
  end
end

local due_in = due.next_in(now)
local more = 0
for i = 5, #ARGV, 2 do
  local queue = ARGV[i]
  local state, seen = states[queue], arrivals.queues[queue]
  if not full[queue] and not state.paused and state.has_ring and redis.call('EXISTS', key.ring(queue)) == 1 then
    more = 1
    arrivals.signal(queue)
  elseif seen.signalled then
    redis.call('DEL', key.wake(queue))
    seen.signalled = false
  end
end

local reply = { now, due_in, suspects_wait, more }
if #taken == 0 then
  redis.call('HSET', key.consumer(consumer), 'fetch', number, 'token', '0')
  return reply
end

-- One token for the batch: a message is leased once in it, and every later lease of it has a higher one.
local token = tostring(redis.call('INCR', key.token()))
local lease_value = lease_of(token, alone)
local records = read_sliced('HMGET', key.messages(), taken)
local cancelled = nil
if any_cancelled then
  local of = {}
  for i = 1, #taken do of[i] = run_of(taken[i]) end
  cancelled = read_sliced('ZMSCORE', key.cancelled(), of)
end
-- Whoever put a message into its line a second time: a process never gets what it has.
local had = holding > 0 and read_sliced('HMGET', lease, taken) or {}
local held = marks.any
if held then
  local of = {}
  for i = 1, #taken do of[i] = run_of(taken[i]) end
  held = read_sliced('HMGET', key.held(), of)
end
-- A run that undoes what it did is swept of everything else.
local function is_dropped(i, id, record)
  if string.sub(record, 1, 1) == 'u' then return false end
  return (cancelled and cancelled[i]) or (held and held[i] and marks.closed(run_of(id), held[i], position_of(id), redis.pcall))
end
local aside = {} -- ids of paused runs
local leases, dropped, spared = {}, {}, {} -- spared: queue -> tenants that were charged for what was dropped
for i = 1, #taken do
  local id, record, tenant, queue = taken[i], records[i], owners[i], queue_of[i]
  arrivals.count(queue, 'waiting', -1)
  local is_aside = held and held[i] and marks.paused(held[i]) and record and not had[i]
  if had[i] or not record or is_aside or is_dropped(i, id, record) then
    if is_aside then
      aside[#aside + 1] = id
      arrivals.count(queue, 'delayed', 1)
    elseif not had[i] then
      dropped[#dropped + 1] = id
    end
    taken_of[tenant] = taken_of[tenant] - 1
    spared[queue] = spared[queue] or {}
    spared[queue][tenant] = true
  else
    local entry = delivery(id, token, record)
    -- An unreadable record says not where it was: the process must give back the slot it took.
    if not string.find(record, HEADER) then entry[4] = { queue, tenant } end
    arrivals.count(queue, 'leased', 1)
    leases[#leases + 1] = id
    leases[#leases + 1] = lease_value
    reply[#reply + 1] = entry
  end
end
leave_lines()
call_sliced('HSET', lease, leases)
call_sliced('HDEL', key.messages(), dropped)
-- What a broken key would keep from coming back is looked at again in a minute.
for i = 1, #aside do
  local run = run_of(aside[i])
  if is_sound('SCARD', key.paused(run)) and is_sound('SCARD', key.open(run)) and is_sound('HLEN', key.run(run)) then
    redis.call('ZADD', key.delayed(), UNTIL_RESUMED, aside[i])
    redis.call('SADD', key.paused(run), aside[i])
    redis.call('SADD', key.open(run), key.paused(run))
    redis.call('HSET', key.run(run), 'branched', 1)
  else
    redis.call('ZADD', key.delayed(), now + 60000, aside[i])
  end
end
for tenant, number_taken in pairs(taken_of) do
  if any_limits and number_taken > 0 then redis.call('HINCRBY', key.leased(), tenant, number_taken) end
  local limits = limits_seen[tenant]
  if limits and limits[2] and number_taken > 0 then
    for _ = 1, number_taken do redis.pcall('LPUSH', key.rate(tenant), now) end
    redis.pcall('LTRIM', key.rate(tenant), 0, limits[2] - 1)
    redis.pcall('PEXPIRE', key.rate(tenant), 60000)
  end
end
for queue, fields in pairs(arrivals.counts) do
  for field, change in pairs(fields) do
    if change ~= 0 then redis.call('HINCRBY', key.queue(queue), field, change) end
  end
end
-- What was dropped took a place that it did not need: its tenant and its queue get another look.
-- The slot may have held the tenant back in other queues as well.
for queue, tenants in pairs(spared) do
  for tenant in pairs(tenants) do
    local parked = redis.pcall('SMEMBERS', key.parked(tenant))
    parked = parked.err and {} or parked
    parked[#parked + 1] = queue
    for i = 1, #parked do
      redis.pcall('SREM', key.parked(tenant), parked[i])
      redis.pcall('SREM', key.parked('*'), parked[i] .. ' ' .. tenant)
      redis.call('ZREM', key.throttled(), parked[i] .. ' ' .. tenant)
      if redis.pcall('EXISTS', key.waiting(parked[i], tenant)) == 1 then
        arrivals.enter_ring(parked[i], tenant)
        arrivals.signal(parked[i])
        reply[4] = 1
      end
    end
  end
  if redis.call('EXISTS', key.ring(queue)) == 1 then
    reply[4] = 1
    arrivals.signal(queue)
  end
end
redis.call('HSET', key.consumer(consumer), 'fetch', number, 'token', token)
return reply
