-- due: what waits for its time, messages and tenants, and comes forward when that has come.
-- needs: record, slices, check, arrivals, graves
local PROMOTED_AT_MOST = 200

local function first_due(name)
  local first = redis.call('ZRANGE', name, '0', '0', 'WITHSCORES')[2]
  return first and tonumber(first) or math.huge
end

local due = {}
due.message = first_due(key.delayed()) -- when the first message falls due
due.rate = first_due(key.throttled())  -- when the first tenant may run again

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

-- What has no place is looked at again in a minute.
function due.promote_messages(now)
  local later = {}
  local ids = redis.call('ZRANGE', key.delayed(), '-inf', now, 'BYSCORE', 'LIMIT', 0, PROMOTED_AT_MOST)
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
  arrivals.clear()
  graves.dig(now)
  due.message = first_due(key.delayed())
end

function due.promote_tenants(now)
  local owed = redis.call('ZRANGE', key.throttled(), '-inf', now, 'BYSCORE', 'LIMIT', 0, PROMOTED_AT_MOST)
  for i = 1, #owed do
    local queue, tenant = string.match(owed[i], '^(%S+) (%S+)$')
    if redis.call('EXISTS', key.waiting(queue, tenant)) == 1 then arrivals.enter_ring(queue, tenant) end
    redis.call('ZREM', key.throttled(), owed[i])
  end
  due.rate = first_due(key.throttled())
end

-- Brings forward what is due; returns whether there was anything.
function due.promote(now)
  local messages, tenants = due.message <= now, due.rate <= now
  if messages then due.promote_messages(now) end
  if tenants then due.promote_tenants(now) end
  return messages or tenants
end

-- How long until something falls due (ms); -1 for nothing.
function due.next_in(now)
  local first = math.min(due.message, due.rate)
  return first < math.huge and math.max(first - now, 0) or -1
end
