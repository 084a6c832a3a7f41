-- answer: a callback reaches the one wait it is bound to: it answers the wait, or is kept until the wait begins; once.
-- KEYS    1 prefix of the shard
-- ARGV    1 run, 2 position of the wait, 3 '+' and a value, or '-' and the story of a failure, as JSON,
--         4 ms since 1970 from when on it comes too late (0: never)
-- RETURNS 'delivered', 'kept', 'repeated' (a callback has answered this wait), 'late' (the time of the callback or of
--         the wait is over, or the wait was answered by a signal, or nothing needs it any more), false for an unknown
--         run, or the state of a run that takes none
-- ERRORS  -
-- COST    O(1)
-- FLAGS   -
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
local run, position, brought, until_ms = hop.run_seen(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local called = redis.call('HGET', key.calls(run.id), position)
-- Before all else: who did not hear that its callback was taken in has to learn it, however the run has ended.
if called and called ~= 'w' then return 'repeated' end
if run.state ~= 'running' then return run.state end
local name = called and redis.call('HGET', key.wait(run.id, position), 'name')
if called and not name then return 'late' end
if until_ms > 0 and now >= until_ms then return 'late' end
if marks.closed(run.id, marks.of(run.id), position, redis.call) then return 'late' end
hop.rest_of(run)
check('SCARD', key.open(run.id))
check('ZCARD', key.delayed())
check('HLEN', key.messages())
check('SCARD', key.queues())
if name then check('LLEN', key.waits(run.id, name)) end
hop.note_call(run, position, name and 'a' or brought)
if name then hop.answer_call(now, run, position, name, brought) end
tell('run.answered run=' .. run.id .. ' position=' .. position .. ' tenant=' .. (run.tenant or ''))

arrivals.land()
hop.draw_edges(now, 0)
publish()
return name and 'delivered' or 'kept'
