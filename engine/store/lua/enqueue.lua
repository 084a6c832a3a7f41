-- enqueue: puts plain Dramatiq messages on their queues, none on a full one.
-- KEYS    1 prefix of the shard
-- ARGV    1 call id, 2 msgpack {queue: messages it may hold} ('' for no limits), 3.. one msgpack array a message:
--         {id, queue, tenant, priority, allowed, delay_ms, body, idempotency digest or false, idempotency ttl_ms}
-- RETURNS one verdict a message: 'enqueued', the id of the message that holds its idempotency key, or
--         {'full', queue, messages it holds}
-- ERRORS  -
-- COST    O(log waiting) a message
-- FLAGS   -
-- include: clock
-- include: record
-- include: slices
-- include: check
-- include: arrivals
-- include: depth

local now = clock_text()
local call = key.call(ARGV[1])
local before = redis.call('GET', call)
if before then return cmsgpack.unpack(before) end

local verdicts = {}
local claims = {}
local refused = 0
if ARGV[2] ~= '' then depth.most = cmsgpack.unpack(ARGV[2]) end
for i = 3, #ARGV do
  local id, queue, tenant, priority, allowed, delay, body, digest, ttl = unpack(cmsgpack.unpack(ARGV[i]), 1, 9)
  local holder = false
  local claim
  if digest then
    claim = key.idempotency(tenant, queue, digest)
    holder = (claims[claim] and claims[claim][1]) or redis.call('GET', claim)
  end
  local held = not holder and depth.full(queue)
  if holder then
    verdicts[#verdicts + 1] = holder
  elseif held then
    verdicts[#verdicts + 1] = { 'full', queue, held }
    refused = refused + 1
  else
    if claim then claims[claim] = { id, ttl } end
    arrivals.send(now, id, 'd', queue, tenant, priority, allowed, delay, body)
    verdicts[#verdicts + 1] = 'enqueued'
  end
end

arrivals.land()
for claim, holder in pairs(claims) do redis.call('SET', claim, holder[1], 'PX', math.max(holder[2], 1)) end
-- A call that was refused as a whole has done nothing that another try could do twice.
if refused < #verdicts then redis.call('SET', call, cmsgpack.pack(verdicts), 'PX', 600000) end
return verdicts
