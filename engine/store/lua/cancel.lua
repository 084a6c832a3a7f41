-- cancel: ends a run; what of it has not begun is dropped when it would be fetched.
-- KEYS    1 prefix of the shard
-- ARGV    1 run
-- RETURNS the state that the run had: 'running' means that it is cancelled now; false for an unknown run
-- ERRORS  -
-- COST    O(open joins)
-- FLAGS   allow-oom
-- include: clock
-- include: record
-- include: slices
-- include: check
-- include: arrivals
-- include: tale
-- include: edges

local now = clock_ms()
local run = hop.run_seen(ARGV[1])
if run.state ~= 'running' then return run.state end
check('ZCARD', key.cancelled())
check('SCARD', key.open(run.id))
run.state = 'cancelled'
hop.end_run(now, run, 'cancelled')

redis.call('ZADD', key.cancelled(), now, run.id)
hop.draw_edges(0)
publish()
return 'running'
