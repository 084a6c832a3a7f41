-- enlist: registers a consumer, and the limits that its settings give to its queues.
-- KEYS    1 prefix of the shard
-- ARGV    1 consumer, 2 host, 3 pid, 4 version, 5 ms of silence that is its death, 6.. queue and its limit
--         ('' for none) in turn
-- RETURNS 1
-- ERRORS  -
-- COST    O(queues)
-- FLAGS   allow-oom
-- include: clock
-- include: check

local names = {}
check('ZCARD', key.consumers())
for i = 6, #ARGV, 2 do
  check('HLEN', key.queue(ARGV[i]))
  names[#names + 1] = ARGV[i]
end
check('SCARD', key.queues())
local now = clock_ms()
redis.call('HSET', key.consumer(ARGV[1]), 'host', ARGV[2], 'pid', ARGV[3], 'version', ARGV[4], 'silence', ARGV[5],
  'queues', table.concat(names, ','), 'since', now)
redis.call('ZADD', key.consumers(), now, ARGV[1])
for i = 6, #ARGV, 2 do
  redis.call('SADD', key.queues(), ARGV[i])
  if ARGV[i + 1] == '' then
    redis.call('HDEL', key.queue(ARGV[i]), 'limit')
  else
    redis.call('HSET', key.queue(ARGV[i]), 'limit', ARGV[i + 1])
  end
end
return 1
