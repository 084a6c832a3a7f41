-- start_one: begins one run whose first edge is one message, as `start` does but straight on, and only where all is plain.
-- KEYS    1 prefix of the shard
-- ARGV    1 run, 2 pipeline, 3 plan, 4 tenant, 5 keep_ms, 6 caller's key or '', 7 its ttl_ms, 8 position, 9 queue,
--         10 priority, 11 allowed deaths, 12 body
-- RETURNS 1 started; 0 nothing was done, as the run or its key is known, the plan or the queue is not, or the stream
--         is to be trimmed: `start` decides
-- ERRORS  -
-- COST    O(log waiting)
-- FLAGS   -
-- include: clock
-- include: record
-- include: check
-- include: tale

local now = clock_text()
local id, pipeline, tenant, caller, queue = ARGV[1], ARGV[2], ARGV[4], ARGV[6], ARGV[9]
local run, counts, waiting, wake = key.run(id), key.queue(queue), key.waiting(queue, tenant), key.wake(queue)
local claim = caller ~= '' and key.idempotency(tenant, pipeline, caller)
if redis.call('EXISTS', key.plan(ARGV[3])) == 0 or redis.call('HEXISTS', run, 'state') == 1 then return 0 end
if claim and redis.call('GET', claim) then return 0 end
local seen = redis.call('HMGET', counts, 'known', 'vtime')
if not seen[1] or redis.call('XLEN', key.events()) > EVENTS_KEPT + TRIMMED_BEHIND then return 0 end
check('HLEN', key.messages())
check('ZCARD', key.runs())
local was_empty = redis.call('ZCARD', waiting) == 0
if was_empty then check('ZCARD', key.ring(queue)) end
local is_signalled = redis.call('LLEN', wake) > 0
local last = redis.call('GET', key.order()) or '0'
local order = string.format('%d', (ARGV[10] + 1) * BAND - last - 1)
local message = id .. ':' .. ARGV[8]

redis.call('INCR', key.order())
redis.call('HSET', key.messages(), message, record_of('s', '1', '-', ARGV[11], order, now, queue, tenant, ARGV[12]))
redis.call('ZADD', waiting, order, message)
if was_empty then redis.call('ZADD', key.ring(queue), 'NX', seen[2] or '0', tenant) end
redis.call('HINCRBY', counts, 'waiting', '1')
if not is_signalled then redis.call('LPUSH', wake, '1') end
if claim then
  redis.call('HSET', run, 'state', 'running', 'pipeline', pipeline, 'plan', ARGV[3], 'tenant', tenant, 'started', now,
    'keep', ARGV[5], 'key', caller, 'claimed', '1')
  redis.call('SET', claim, id, 'PX', ARGV[7])
else
  redis.call('HSET', run, 'state', 'running', 'pipeline', pipeline, 'plan', ARGV[3], 'tenant', tenant, 'started', now,
    'keep', ARGV[5])
end
redis.call('ZADD', key.runs(), now, id)
redis.call('XADD', key.events(), '*', 'facts', 'run.started run=' .. id .. ' pipeline=' .. pipeline .. ' tenant=' .. tenant)
return 1
