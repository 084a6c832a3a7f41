-- reconcile: leases that the server has and the process does not know of go back to their place, uncounted.
-- KEYS    1 prefix of the shard
-- ARGV    1 consumer, 2 highest token that the process has seen ('': all), 3.. ids the process holds. A call that comes
--         late, after its connection was lost, must not touch what was leased since.
-- RETURNS ids given back
-- ERRORS  -
-- COST    O(leases)
-- FLAGS   allow-oom
-- include: record
-- include: slices
-- include: check
-- include: arrivals
-- include: leases

local consumer = ARGV[1]
local known = {}
for i = 3, #ARGV do known[ARGV[i]] = true end
local seen = ARGV[2] ~= '' and tonumber(ARGV[2]) or math.huge
local back = {}
local held = redis.call('HGETALL', key.lease(consumer))
check('HLEN', key.messages())
check('SCARD', key.queues())
for i = 1, #held, 2 do
  if not known[held[i]] and tonumber((token_of(held[i + 1]))) <= seen then
    back[#back + 1] = held[i]
    local record = redis.call('HGET', key.messages(), held[i])
    local kind, _, stalls, _, order, _, queue, tenant = header_of(record or '')
    if kind then
      leases.free(queue, tenant)
      if stalls ~= '-' then arrivals.suspect_at(queue, order, held[i]) else arrivals.wait_at(queue, tenant, order, held[i]) end
    end
  end
end
leases.check_freed()

call_sliced('HDEL', key.lease(consumer), back)
arrivals.land()
leases.settle_freed()
return back
