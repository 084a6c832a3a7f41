-- lead: takes, renews or gives up the leadership of the schedulers; every new holder gets a higher fencing token.
-- KEYS    1 prefix of the shard
-- ARGV    1 candidate, 2 lease in ms (0 gives up)
-- RETURNS {1 if the candidate leads now, fencing token}
-- ERRORS  -
-- COST    O(1)
-- FLAGS   allow-oom
-- include: clock

local now = clock_ms()
local seen = redis.call('HMGET', key.leader(), 'holder', 'until', 'token')
local holder, till, token = seen[1], tonumber(seen[2] or '0'), tonumber(seen[3] or '0')
if tonumber(ARGV[2]) == 0 then
  if holder == ARGV[1] then redis.call('HSET', key.leader(), 'until', 0) end
  return { 0, token }
end
if holder ~= ARGV[1] and till > now then return { 0, token } end
if holder ~= ARGV[1] or till <= now then token = token + 1 end
redis.call('HSET', key.leader(), 'holder', ARGV[1], 'until', now + tonumber(ARGV[2]), 'token', token)
return { 1, token }
