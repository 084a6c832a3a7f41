-- leases: what becomes of a queue's and a tenant's share when a lease ends.
-- Leases are counted by tenant only while anyone has limits; `limit` counts them anew when that begins.
-- needs: check, arrivals
local leases = {}
leases.counting = redis.call('HLEN', key.limits()) > 0
leases.freed = {} -- tenant -> leases that ended

function leases.free(queue, tenant)
  arrivals.count(queue, 'leased', -1)
  if leases.counting then leases.freed[tenant] = (leases.freed[tenant] or 0) + 1 end
end

-- Before the writes: types, and queues that stood at their limit and now have room.
function leases.check_freed()
  if leases.counting then check('HLEN', key.leased()) end
  for tenant in pairs(leases.freed) do check('SCARD', key.parked(tenant)) end
  for queue, fields in pairs(arrivals.counts) do
    if leases.counting then check('ZCARD', key.ring(queue)) end
    if (fields.leased or 0) < 0 then
      local full = redis.call('HMGET', key.queue(queue), 'limit', 'leased')
      if full[1] and tonumber(full[2] or '0') >= tonumber(full[1]) then arrivals.touched[queue] = true end
    end
  end
end

function leases.settle_freed()
  for tenant, number in pairs(leases.freed) do
    if redis.call('HINCRBY', key.leased(), tenant, -number) <= 0 then
      redis.call('HDEL', key.leased(), tenant)
    end
    local parked = redis.call('SMEMBERS', key.parked(tenant))
    if #parked > 0 then redis.call('DEL', key.parked(tenant)) end
    for i = 1, #parked do
      redis.pcall('SREM', key.parked('*'), parked[i] .. ' ' .. tenant)
      if redis.call('EXISTS', key.waiting(parked[i], tenant)) == 1 then
        arrivals.enter_ring(parked[i], tenant)
        arrivals.signal(parked[i])
      end
    end
  end
end
