-- fetch: leases runnable messages to a consumer: promotes what is due, chooses tenants fairly, skips what may not run.
-- KEYS    1 prefix of the shard
-- ARGV    1 consumer, 2 number of this fetch, 3 messages wanted, 4 1 if the consumer holds nothing, - if it cannot
--         empty itself now, else 0, 5.. queues, in order of priority, each followed by its share of the wanted messages,
--         which is below 0 where the queue may give no more than that
-- RETURNS {now ms, ms until something falls due (-1: nothing), suspects wait 0|1, more is runnable 0|1,
--         {id, token, record, inputs, or how many results are to be read from the join, or false}...}
-- ERRORS  GONE the consumer was taken for dead: come back under a new id
-- COST    O(log tenants + log waiting) a message
-- FLAGS   allow-oom
-- include: clock
-- include: record
-- include: slices
-- include: check
-- include: arrivals
-- include: graves
-- include: marks

local HEADER = '^%l %d+ %S+ %d+ %d+ %d+ %S+ %S+\n'
local PROMOTED_AT_MOST = 200
local UNTIL_RESUMED = '9000000000000000' -- in no life of ours
local now = clock_ms()
local consumer, number, wanted, idle = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local lease = key.lease(consumer)
local me = redis.call('HMGET', key.consumer(consumer), 'fetch', 'token', 'pid')
if not me[3] then return redis.error_reply('GONE ' .. consumer) end
local holding = redis.call('HLEN', lease)
check('HLEN', key.messages())
check('HLEN', key.leased())
check('ZCARD', key.delayed())
check('ZCARD', key.throttled())
check('STRLEN', key.token())
check('STRLEN', key.order())
check('SCARD', key.queues())
check('HLEN', key.limits())
check('ZCARD', key.cancelled())
for i = 5, #ARGV, 2 do
  check('HLEN', key.queue(ARGV[i]))
  check('LLEN', key.wake(ARGV[i]))
  check('ZCARD', key.ring(ARGV[i]))
  check('ZCARD', key.suspects(ARGV[i]))
  check('STRLEN', key.solo(ARGV[i]))
end

-- Results of joins go with the reply as long as they are few; the rest the process reads by itself, slice by slice.
local RESULTS_AT_MOST = 1000
local results = 0

local function results_of(id, record)
  local join = key.join(run_of(id), join_of(record) or '')
  local members = redis.pcall('HGET', join, 'members')
  members = type(members) == 'string' and tonumber(members) or 0
  if members < 1 then return nil end
  if results + members > RESULTS_AT_MOST then return members end
  results = results + members
  local fields = {}
  for i = 1, members do fields[i] = i - 1 end
  return read_sliced('HMGET', join, fields)
end

local function inputs_of(id, kind, record)
  if kind == 'j' then return results_of(id, record) end
  local each, item = string.match(position_of(id), '^(.*)%.(%d+)$')
  if not each then return nil end
  local found = redis.pcall('HMGET', key.each(run_of(id), each), 'body', item)
  if found.err or not found[1] or not found[2] then return nil end
  return found
end

local function delivery(id, token, record)
  local kind = string.sub(record, 1, 1)
  local inputs = false
  if kind == 'j' or kind == 'e' then inputs = inputs_of(id, kind, record) or false end
  return { id, token, record, inputs }
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

-- Whether a message can go to its place: a broken key holds up its own tenant or queue alone.
local sound = {}
local function is_sound(command, name)
  if sound[name] == nil then sound[name] = type(redis.pcall(command, name)) == 'number' end
  return sound[name]
end

local function has_place(queue, tenant)
  return is_sound('HLEN', key.queue(queue)) and is_sound('LLEN', key.wake(queue)) and is_sound('ZCARD', key.ring(queue))
    and is_sound('ZCARD', key.waiting(queue, tenant))
end

-- Promotes what is due; what has no place is looked at again in a minute.
local function promote()
  local later = {}
  local ids = redis.call('ZRANGE', key.delayed(), '-inf', now, 'BYSCORE', 'LIMIT', 0, PROMOTED_AT_MOST)
  if #ids > 0 then
    local records = read_sliced('HMGET', key.messages(), ids)
    for i = 1, #ids do
      if records[i] then
        local _, _, _, _, order, _, queue, tenant = header_of(records[i])
        if queue and not has_place(queue, tenant) then
          later[#later + 1] = now + 60000
          later[#later + 1] = ids[i]
        elseif queue then
          arrivals.wait_at(queue, tenant, order, ids[i])
          arrivals.count(queue, 'delayed', -1)
        else
          graves.bury(ids[i], records[i], 'unknown', 'default', 'undecodable')
        end
      end
    end
    call_sliced('ZREM', key.delayed(), ids)
    call_sliced('ZADD', key.delayed(), later)
    arrivals.land()
    graves.dig(now)
  end
  local pairs_due = redis.call('ZRANGE', key.throttled(), '-inf', now, 'BYSCORE', 'LIMIT', 0, PROMOTED_AT_MOST)
  for i = 1, #pairs_due do
    local queue, tenant = string.match(pairs_due[i], '^(%S+) (%S+)$')
    if redis.call('EXISTS', key.waiting(queue, tenant)) == 1 then arrivals.enter_ring(queue, tenant) end
    redis.call('ZREM', key.throttled(), pairs_due[i])
  end
end

local function next_due()
  local first = redis.call('ZRANGE', key.delayed(), 0, 0, 'WITHSCORES')[2]
  local token = redis.call('ZRANGE', key.throttled(), 0, 0, 'WITHSCORES')[2]
  local due = first and tonumber(first)
  if token and (not due or tonumber(token) < due) then due = tonumber(token) end
  return due and math.max(due - now, 0) or -1
end

local taken, owners, taken_of = {}, {}, {} -- ids; tenant of each; tenant -> number taken
local queue_of, taken_from = {}, {}
local any_limits = redis.call('HLEN', key.limits()) > 0
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
  redis.call('ZREM', key.ring(queue), tenant)
  if cause == 'slot' or cause == 'paused' then
    redis.pcall('SADD', key.parked(tenant), queue)
    if limits_of(tenant).of_all then redis.pcall('SADD', key.parked('*'), queue .. ' ' .. tenant) end
  else
    redis.call('ZADD', key.throttled(), cause, queue .. ' ' .. tenant)
  end
end

-- Waiting sets are only read here; what was taken from them leaves when all is known.
local lines = {}   -- key of a waiting set -> number taken from its near end
local drained = {} -- key of a waiting set -> true where nothing is left

local function take(queue, tenant, number_wanted)
  local name = key.waiting(queue, tenant)
  local from = lines[name] or 0
  local found = redis.pcall('ZRANGE', name, from, from + number_wanted, 'REV') -- one more tells what is left
  if found.err then return 0, true end -- a broken key hurts its own tenant alone
  local number_taken = math.min(#found, number_wanted)
  for i = 1, number_taken do
    taken[#taken + 1] = found[i]
    owners[#taken] = tenant
    queue_of[#taken] = queue
  end
  lines[name] = from + number_taken
  drained[name] = #found <= number_wanted or nil
  taken_of[tenant] = (taken_of[tenant] or 0) + number_taken
  return number_taken, drained[name]
end

local function leave_lines()
  local gone = {}
  for name, number_taken in pairs(lines) do
    if drained[name] then
      gone[#gone + 1] = name
    elseif number_taken > 0 then
      redis.call('ZREMRANGEBYRANK', name, -number_taken, -1)
    end
  end
  if #gone > 0 then redis.call('DEL', unpack(gone)) end
end

-- One round: the tenants at the head of the ring, each by its weight. Returns false when nobody was served.
local function serve_round(queue, room)
  local ring = key.ring(queue)
  local head = redis.call('ZRANGE', ring, 0, room - 1, 'WITHSCORES')
  if #head == 0 then return 0, nil end
  local weights, total = {}, 0
  for i = 1, #head, 2 do
    local limits = limits_of(head[i])
    local weight = limits and limits[3] or 1
    weights[i] = weight
    total = total + weight
  end
  local served, moved, emptied = 0, {}, {}
  for i = 1, #head, 2 do
    if served >= room then break end
    local tenant = head[i]
    local limits = limits_of(tenant)
    local wish = math.min(math.max(1, math.floor(room * weights[i] / total)), room - served)
    local cause
    if limits then wish, cause = allowance(tenant, limits, wish) end
    visited = visited + 1
    if cause then
      set_aside(queue, tenant, cause)
    else
      local got, empty = take(queue, tenant, wish)
      served = served + got
      if empty then
        emptied[#emptied + 1] = tenant
      else
        moved[#moved + 1] = string.format('%.17g', tonumber(head[i + 1]) + got / weights[i])
        moved[#moved + 1] = tenant
      end
    end
  end
  if #moved > 0 then redis.call('ZADD', ring, unpack(moved)) end
  if #emptied > 0 then redis.call('ZREM', ring, unpack(emptied)) end
  return served, head[2], #head
end

local function serve(queue, room)
  local state = redis.call('HMGET', key.queue(queue), 'paused', 'limit', 'leased')
  if state[1] then return 0 end
  local at_most, left = room, nil
  if state[2] then
    left = tonumber(state[2]) - tonumber(state[3] or '0') - (taken_from[queue] or 0)
    at_most = math.min(room, left)
  end
  local served, vtime = 0, nil
  while served < at_most and visited < VISITED_AT_MOST do
    local got, head, seen = serve_round(queue, at_most - served)
    if not seen then break end
    vtime = head
    served = served + got
  end
  if vtime then redis.call('HSET', key.queue(queue), 'vtime', vtime) end
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
    if record and not redis.call('ZSCORE', key.cancelled(), run_of(id)) then return id end
  end
end

promote()

-- A consumer that holds nothing may take one suspect, alone; while none such comes, one of them empties itself.
local suspects_wait = 0
local alone = nil
for i = 5, #ARGV, 2 do
  local queue = ARGV[i]
  if redis.call('ZCARD', key.suspects(queue)) > 0 and redis.call('HEXISTS', key.queue(queue), 'paused') == 0 then
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

local due = next_due()
local more = 0
for i = 5, #ARGV, 2 do
  local queue = ARGV[i]
  local wake = key.wake(queue)
  if not full[queue] and redis.call('EXISTS', key.ring(queue)) == 1 and redis.call('HEXISTS', key.queue(queue), 'paused') == 0 then
    more = 1
    arrivals.signal(queue)
  else
    redis.call('DEL', wake)
    if arrivals.queues[queue] then arrivals.queues[queue].signalled = false end
  end
end

local reply = { now, due, suspects_wait, more }
if #taken == 0 then
  redis.call('HSET', key.consumer(consumer), 'fetch', number, 'token', '0')
  return reply
end

-- One token for the batch: a message is leased once in it, and every later lease of it has a higher one.
local token = tostring(redis.call('INCR', key.token()))
local lease_value = lease_of(token, alone)
local records = read_sliced('HMGET', key.messages(), taken)
local cancelled = nil
if redis.call('ZCARD', key.cancelled()) > 0 then
  local of = {}
  for i = 1, #taken do of[i] = run_of(taken[i]) end
  cancelled = read_sliced('ZMSCORE', key.cancelled(), of)
end
-- Whoever put a message into its line a second time: a process never gets what it has.
local had = holding > 0 and read_sliced('HMGET', lease, taken) or {}
local held = redis.call('HLEN', key.held()) > 0 and {}
if held then
  local of = {}
  for i = 1, #taken do of[i] = run_of(taken[i]) end
  held = read_sliced('HMGET', key.held(), of)
end
-- A run that undoes what it did is swept of everything else.
local function is_dropped(i, id, record)
  if string.sub(record, 1, 1) == 'u' then return false end
  return (cancelled and cancelled[i]) or (held and held[i] and marks.closed(held[i], position_of(id)))
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
for i = 1, #aside do
  local run = run_of(aside[i])
  redis.call('ZADD', key.delayed(), UNTIL_RESUMED, aside[i])
  redis.pcall('SADD', key.paused(run), aside[i])
  redis.pcall('SADD', key.open(run), key.paused(run))
  redis.pcall('HSET', key.run(run), 'branched', 1)
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
for queue, tenants in pairs(spared) do
  for tenant in pairs(tenants) do
    redis.pcall('SREM', key.parked(tenant), queue)
    redis.call('ZREM', key.throttled(), queue .. ' ' .. tenant)
    if redis.call('EXISTS', key.waiting(queue, tenant)) == 1 then arrivals.enter_ring(queue, tenant) end
  end
  if redis.call('EXISTS', key.ring(queue)) == 1 then
    reply[4] = 1
    arrivals.signal(queue)
  end
end
redis.call('HSET', key.consumer(consumer), 'fetch', number, 'token', token)
return reply
