-- wait: reads a run's state and, while it is running, registers a waiter that the ending commit will signal.
-- KEYS    1 prefix of the shard
-- ARGV    1 run, 2 waiter ('' only reads), 3 ms the registration lives
-- RETURNS {state or false, result or false}
-- ERRORS  -
-- COST    O(1)
-- FLAGS   allow-oom
-- include: check

local seen = redis.call('HMGET', key.run(ARGV[1]), 'state', 'result')
local state, result = seen[1], seen[2]
if (state == 'running' or state == 'undoing') and ARGV[2] ~= '' then
  check('SCARD', key.waiters(ARGV[1]))
  redis.call('HSET', key.run(ARGV[1]), 'waited', 1)
  redis.call('SADD', key.waiters(ARGV[1]), ARGV[2])
  redis.call('PEXPIRE', key.waiters(ARGV[1]), ARGV[3], 'NX')
  redis.call('PEXPIRE', key.waiters(ARGV[1]), ARGV[3], 'GT')
end
return { state, result }
