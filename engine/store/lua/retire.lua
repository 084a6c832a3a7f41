-- retire: a consumer that holds nothing leaves.
-- KEYS    1 prefix of the shard
-- ARGV    1 consumer
-- RETURNS leases left behind; with any, the consumer is left for the reap
-- ERRORS  -
-- COST    O(1)
-- FLAGS   allow-oom
-- include: check

check('ZCARD', key.consumers())
local left = redis.call('HLEN', key.lease(ARGV[1]))
if left == 0 then
  redis.call('ZREM', key.consumers(), ARGV[1])
  redis.call('UNLINK', key.consumer(ARGV[1]), key.lease(ARGV[1]))
end
return left
