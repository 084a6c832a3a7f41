-- cancel: ends a run; what of it has not begun is dropped when it would be fetched.
-- KEYS    1 prefix of the shard
-- ARGV    1 run, 2 1 to undo what it has done, else 0
-- RETURNS the state that the run had: 'running' means that it is cancelled now; false for an unknown run
-- ERRORS  -
-- COST    O(open joins + live child runs)
-- FLAGS   allow-oom
-- include: clock
-- include: record
-- include: slices
-- include: check
-- include: arrivals
-- include: tale
-- include: marks
-- include: edges
-- include: branches

local now = clock_ms()
local run = hop.run_seen(ARGV[1])
if run.state ~= 'running' then return run.state end
check('ZCARD', key.cancelled())
check('SCARD', key.open(run.id))
check('ZCARD', key.delayed())
check('HLEN', key.messages())
check('SCARD', key.queues())
if ARGV[2] ~= '1' or not hop.undo(now, run, 'cancelled') then hop.end_run(now, run, 'cancelled') end

redis.call('ZADD', key.cancelled(), now, run.id)
arrivals.land()
hop.draw_edges(now, 0)
publish()
return 'running'
