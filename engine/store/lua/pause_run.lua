-- pause_run: a run begins nothing new until it is resumed; what would begin is set aside when it is fetched.
-- KEYS    1 prefix of the shard
-- ARGV    1 run
-- RETURNS 'paused', 'known' (it was already), false for an unknown run, or the state of a run that has ended
-- ERRORS  -
-- COST    O(1)
-- FLAGS   allow-oom
-- include: marks
-- include: tale

local seen = redis.call('HMGET', key.run(ARGV[1]), 'state', 'tenant')
if seen[1] ~= 'running' and seen[1] ~= 'undoing' then return seen[1] end
local held = marks.of(ARGV[1])
if marks.paused(held) then return 'known' end
tell('run.paused run=' .. ARGV[1] .. ' tenant=' .. seen[2])

redis.call('HSET', key.held(), ARGV[1], 'p' .. held)
publish()
return 'paused'
