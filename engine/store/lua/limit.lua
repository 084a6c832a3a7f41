-- limit: sets or clears the limits of a tenant ('*': of every tenant without its own) and lets it run again.
-- KEYS    1 prefix of the shard
-- ARGV    1 tenant, 2 msgpack {max_concurrent|false, max_per_minute|false, weight, paused|false}, '' clears
-- RETURNS tenants that the limits of all still hold back: with any, call again ('*' alone goes by slices)
-- ERRORS  -
-- COST    O(queues), and O(leases) when these are the first limits of all
-- FLAGS   allow-oom
-- include: record
-- include: slices
-- include: check
-- include: tale

local FREED_AT_MOST = 500
local tenant = ARGV[1]
check('HLEN', key.limits())
local queues = redis.call('SMEMBERS', key.queues())
check('SCARD', key.parked(tenant))
check('SCARD', key.parked('*'))
check('ZCARD', key.throttled())
for i = 1, #queues do
  check('HLEN', key.queue(queues[i]))
  check('ZCARD', key.ring(queues[i]))
  check('LLEN', key.wake(queues[i]))
end
check('HLEN', key.leased())
check('HLEN', key.messages())

-- From now on leases are counted by tenant: those that are held already, too.
local held
if ARGV[2] ~= '' and redis.call('HLEN', key.limits()) == 0 then
  held = {}
  local consumers = redis.call('ZRANGE', key.consumers(), 0, -1)
  for i = 1, #consumers do
    local ids = redis.call('HKEYS', key.lease(consumers[i]))
    for j = 1, #ids do
      local _, _, _, _, _, _, _, owner = header_of(redis.call('HGET', key.messages(), ids[j]) or '')
      if owner then held[owner] = (held[owner] or 0) + 1 end
    end
  end
end
tell('tenant.limited tenant=' .. tenant)

if held then
  redis.call('DEL', key.leased())
  for owner, number in pairs(held) do redis.call('HSET', key.leased(), owner, number) end
end
if ARGV[2] == '' then
  redis.call('HDEL', key.limits(), tenant)
  if redis.call('HLEN', key.limits()) == 0 then redis.call('DEL', key.leased()) end
else
  redis.call('HSET', key.limits(), tenant, ARGV[2])
end
-- Those that wait for what the limits of all allowed are known by name.
local aside = {}
if tenant == '*' then
  aside = redis.call('SRANDMEMBER', key.parked('*'), FREED_AT_MOST)
  for i = 1, #aside do
    local queue, owner = string.match(aside[i], '^(%S+) (%S+)$')
    redis.pcall('SREM', key.parked(owner), queue)
    if redis.call('EXISTS', key.waiting(queue, owner)) == 1 then
      redis.pcall('ZADD', key.ring(queue), 'NX', redis.pcall('HGET', key.queue(queue), 'vtime') or '0', owner)
      if redis.pcall('LLEN', key.wake(queue)) == 0 then redis.call('LPUSH', key.wake(queue), '1') end
    end
  end
  call_sliced('SREM', key.parked('*'), aside)
  publish()
  return redis.call('SCARD', key.parked('*'))
end
redis.call('DEL', key.parked(tenant))
for i = 1, #queues do
  redis.call('SREM', key.parked('*'), queues[i] .. ' ' .. tenant)
  redis.call('ZREM', key.throttled(), queues[i] .. ' ' .. tenant)
  if redis.call('EXISTS', key.waiting(queues[i], tenant)) == 1 then
    local vtime = redis.call('HGET', key.queue(queues[i]), 'vtime') or '0'
    redis.call('ZADD', key.ring(queues[i]), 'NX', vtime, tenant)
    if redis.call('LLEN', key.wake(queues[i])) == 0 then redis.call('LPUSH', key.wake(queues[i]), '1') end
  end
end
publish()
return 0
