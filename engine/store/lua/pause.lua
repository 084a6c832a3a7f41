-- pause: stops or resumes the handing out of a queue's messages.
-- KEYS    1 prefix of the shard
-- ARGV    1 queue, 2 1 to pause, 0 to resume
-- RETURNS 1 if that changed anything, -1 for an unknown queue
-- ERRORS  -
-- COST    O(1)
-- FLAGS   allow-oom
-- include: clock
-- include: check
-- include: tale

if redis.call('SISMEMBER', key.queues(), ARGV[1]) == 0 then return -1 end
local was = redis.call('HEXISTS', key.queue(ARGV[1]), 'paused')
if tostring(was) == ARGV[2] then return 0 end
check('LLEN', key.wake(ARGV[1]))
tell((ARGV[2] == '1' and 'queue.paused' or 'queue.resumed') .. ' queue=' .. ARGV[1])

if ARGV[2] == '1' then
  redis.call('HSET', key.queue(ARGV[1]), 'paused', clock_ms())
else
  redis.call('HDEL', key.queue(ARGV[1]), 'paused')
  if redis.call('LLEN', key.wake(ARGV[1])) == 0 then redis.call('LPUSH', key.wake(ARGV[1]), '1') end
end
publish()
return 1
