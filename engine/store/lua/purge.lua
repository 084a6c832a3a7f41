-- purge: forgets dead letters of a queue: those that died before a time, or one by its id.
-- KEYS    1 prefix of the shard
-- ARGV    1 queue, 2 died before (ms), 3 one message id or '', 4 at most
-- RETURNS number of letters forgotten
-- ERRORS  -
-- COST    O(letters)
-- FLAGS   allow-oom
-- include: slices
-- include: check
-- include: tale

local queue, at_most = ARGV[1], tonumber(ARGV[4])
local ids
if ARGV[3] ~= '' then
  ids = redis.call('ZSCORE', key.dead(queue), ARGV[3]) and { ARGV[3] } or {}
else
  ids = redis.call('ZRANGE', key.dead(queue), '-inf', ARGV[2], 'BYSCORE', 'LIMIT', 0, math.min(at_most, 500))
end
if #ids == 0 then return 0 end
check('HLEN', key.queue(queue))
tell('letters.purged queue=' .. queue .. ' number=' .. #ids)

for i = 1, #ids do redis.call('UNLINK', key.letter(ids[i]), key.errors(ids[i])) end
call_sliced('ZREM', key.dead(queue), ids)
redis.call('HINCRBY', key.queue(queue), 'dead', -#ids)
publish()
return #ids
