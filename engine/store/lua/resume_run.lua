-- resume_run: a paused run goes on; what was set aside goes back to its place.
-- KEYS    1 prefix of the shard
-- ARGV    1 run
-- RETURNS 'resumed', 'known' (it was not paused), or false for an unknown run
-- ERRORS  -
-- COST    O(messages of the run that were set aside)
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
if not run.state then return false end
local held = marks.of(run.id)
if not marks.paused(held) then return 'known' end
hop.rest_of(run)
check('ZCARD', key.delayed())
check('HLEN', key.messages())
check('SCARD', key.queues())
check('SCARD', key.open(run.id))
hop.unpark(run)
tell('run.resumed run=' .. run.id .. ' tenant=' .. (run.tenant or ''))

arrivals.land()
hop.draw_edges(now, 0)
local rest = string.sub(held, 2)
if rest == '' then redis.call('HDEL', key.held(), run.id) else redis.call('HSET', key.held(), run.id, rest) end
publish()
return 'resumed'
