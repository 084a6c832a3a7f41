-- start: begins runs of plans, each at most once a run id and once an idempotency key; none into a full queue.
-- KEYS    1 prefix of the shard
-- ARGV    1 msgpack {queue: messages it may hold} ('' for no limits), 2.. one msgpack array a run: {run, pipeline, plan, tenant,
--         keep_ms, delay_ms, edges, caller's key or false, idempotency type or false, digest, window_ms (0: the digest
--         is an explicit key), ttl_ms, restart, keep_ms if it fails or false, attributes or false (each
--         'name=value'), notes or false (fields and values for the run, in turn)}
-- RETURNS one verdict a run: 'started', {run that holds the key, its state}, or {'full', queue, messages it holds}
-- ERRORS  PLAN_MISSING a plan is not stored: put it, then call again
-- COST    O(edges) a run, and O(log runs) an attribute
-- FLAGS   -
-- include: clock
-- include: record
-- include: slices
-- include: check
-- include: arrivals
-- include: depth
-- include: tale
-- include: marks
-- include: edges
-- include: branches

local now = clock_text()
local verdicts = {}
local claims = {}
local indexed = {}
if ARGV[1] ~= '' then depth.most = cmsgpack.unpack(ARGV[1]) end
local attributed = {} -- run, its attributes packed, ...
local found_by = {}   -- attribute -> start time, run, ...

-- The run that holds an idempotency key, looking into the window before this one too: a duplicate
-- across the edge is one all the same, if it is younger than the window is long.
local function holder_of(tenant, type, digest, window)
  if window == 0 then
    local name = key.idempotency(tenant, type, digest)
    return (claims[name] and claims[name][1]) or redis.call('GET', name), name
  end
  local number = math.floor(now / window)
  local name = key.idempotency(tenant, type, digest .. ':' .. string.format('%.0f', number))
  local holder = (claims[name] and claims[name][1]) or redis.call('GET', name)
  if holder then return holder, name end
  local before = key.idempotency(tenant, type, digest .. ':' .. string.format('%.0f', number - 1))
  holder = redis.call('GET', before)
  if holder and redis.call('EXISTS', key.run(holder)) == 1 then
    local begun = tonumber(redis.call('HGET', key.run(holder), 'started') or '0')
    if now - begun < window then return holder, name end
  end
  return false, name
end

local function attribute(id, attributes)
  check('HLEN', key.attributes())
  attributed[#attributed + 1] = id
  attributed[#attributed + 1] = cmsgpack.pack(attributes)
  for i = 1, #attributes do
    check('ZCARD', key.attribute(attributes[i]))
    local entries = found_by[attributes[i]] or {}
    found_by[attributes[i]] = entries
    entries[#entries + 1] = now
    entries[#entries + 1] = id
  end
end

for i = 2, #ARGV do
  local id, pipeline, plan, tenant, keep, delay, edges, caller, type, digest, window, ttl, restart, failed_keep, attributes, notes =
    unpack(cmsgpack.unpack(ARGV[i]), 1, 16)
  if redis.call('EXISTS', key.plan(plan)) == 0 then return redis.error_reply('PLAN_MISSING ' .. plan) end
  local holder, claim = false, nil
  if type then holder, claim = holder_of(tenant, type, digest, window) end
  local state = holder and ((hop.runs[holder] and 'running') or redis.call('HGET', key.run(holder), 'state'))
  if holder and holder ~= id and restart and (state == 'failed' or state == 'cancelled') then holder = false end
  if holder and holder ~= id then
    verdicts[i - 1] = { holder, state or 'completed' }
  elseif redis.call('HEXISTS', key.run(id), 'state') == 1 or hop.runs[id] then
    verdicts[i - 1] = 'started'
  else
    local full, held = depth.full_of(edges)
    if full then verdicts[i - 1] = { 'full', full, held } end
  end
  if not verdicts[i - 1] then
    local run = { id = id, name = key.run(id), tenant = tenant, keep = keep, pipeline = pipeline, state = 'running',
      fields = { 'state', 'running', 'pipeline', pipeline, 'plan', plan, 'tenant', tenant, 'started', now, 'keep', keep,
        caller and 'key' or nil, caller or nil } }
    hop.runs[id] = run
    if failed_keep then hop.note(run, 'failed_keep', failed_keep) end
    if attributes then attribute(id, attributes) end
    if notes then
      for j = 1, #notes, 2 do hop.note(run, notes[j], notes[j + 1]) end
    end
    if claim then
      claims[claim] = { id, ttl }
      hop.note(run, 'claimed', 1)
    end
    indexed[#indexed + 1] = now
    indexed[#indexed + 1] = id
    if delay > 0 then
      local e = edges[1]
      arrivals.send(now, id .. ':' .. e[2], 's', e[3], tenant, e[4], e[5], delay, e[6])
    else
      hop.follow(now, run, edges)
    end
    tell('run.started run=' .. id .. ' pipeline=' .. pipeline .. ' tenant=' .. tenant)
    verdicts[i - 1] = 'started'
  end
end
check('ZCARD', key.runs())

arrivals.land()
hop.draw_edges(now, 0)
call_sliced('ZADD', key.runs(), indexed)
call_sliced('HSET', key.attributes(), attributed)
for name, entries in pairs(found_by) do call_sliced('ZADD', key.attribute(name), entries) end
for claim, holder in pairs(claims) do redis.call('SET', claim, holder[1], 'PX', math.max(holder[2], 1)) end
publish()
return verdicts
