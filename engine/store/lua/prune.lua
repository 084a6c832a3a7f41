-- prune: takes runs that are gone out of the indexes of runs; a slice a call, oldest first.
-- KEYS    1 prefix of the shard
-- ARGV    1 started before (ms), 2 at most, 3 cancelled before (ms), 4 runs to pass over
-- RETURNS {runs looked at, runs taken out}
-- ERRORS  -
-- COST    O(runs looked at + attributes of those taken out)
-- FLAGS   allow-oom
-- include: slices
-- include: check

local from, before = tonumber(ARGV[4]), tonumber(ARGV[1])
local found = redis.call('ZRANGE', key.runs(), from, from + tonumber(ARGV[2]) - 1, 'WITHSCORES')
local ids = {}
for i = 1, #found, 2 do
  if tonumber(found[i + 1]) <= before then ids[#ids + 1] = found[i] end
end
check('ZCARD', key.cancelled())
local gone = {}
for i = 1, #ids do
  if redis.call('EXISTS', key.run(ids[i])) == 0 then gone[#gone + 1] = ids[i] end
end
check('HLEN', key.attributes())
check('HLEN', key.held())
local attributed = #gone > 0 and redis.call('HLEN', key.attributes()) > 0 and read_sliced('HMGET', key.attributes(), gone) or {}
for i = 1, #gone do
  local attributes = attributed[i] and cmsgpack.unpack(attributed[i]) or {}
  for j = 1, #attributes do redis.pcall('ZREM', key.attribute(attributes[j]), gone[i]) end
end
call_sliced('ZREM', key.runs(), gone)
call_sliced('HDEL', key.held(), gone)
if #attributed > 0 then call_sliced('HDEL', key.attributes(), gone) end
redis.call('ZREMRANGEBYSCORE', key.cancelled(), '-inf', ARGV[3])
return { #ids, #gone }
