-- enqueue: puts plain Dramatiq messages on their queues, all or none.
-- KEYS    1 prefix of the shard
-- ARGV    1 call id; 2.. one msgpack array a message: {id, queue, tenant, priority, allowed, delay_ms, body,
--         idempotency digest or false, idempotency ttl_ms}
-- RETURNS one verdict a message: 'enqueued' or the id of the message that holds its idempotency key
-- ERRORS  -
-- COST    O(log waiting) a message
-- FLAGS   -
-- include: clock
-- include: record
-- include: slices
-- include: check
-- include: arrivals

local now = clock_text()
local call = key.call(ARGV[1])
local before = redis.call('GET', call)
if before then return cmsgpack.unpack(before) end

local verdicts = {}
local claims = {}
for i = 2, #ARGV do
  local id, queue, tenant, priority, allowed, delay, body, digest, ttl = unpack(cmsgpack.unpack(ARGV[i]), 1, 9)
  local holder = false
  local claim
  if digest then
    claim = key.idempotency(tenant, queue, digest)
    holder = (claims[claim] and claims[claim][1]) or redis.call('GET', claim)
  end
  if holder then
    verdicts[#verdicts + 1] = holder
  else
    if claim then claims[claim] = { id, ttl } end
    arrivals.send(now, id, 'd', queue, tenant, priority, allowed, delay, body)
    verdicts[#verdicts + 1] = 'enqueued'
  end
end

arrivals.land()
for claim, holder in pairs(claims) do redis.call('SET', claim, holder[1], 'PX', math.max(holder[2], 1)) end
redis.call('SET', call, cmsgpack.pack(verdicts), 'PX', 600000)
return verdicts
