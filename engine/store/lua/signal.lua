-- signal: sends a value to a run: to the wait that began first, else kept for the wait to come.
-- KEYS    1 prefix of the shard
-- ARGV    1 run, 2 name, 3 value, as JSON, 4 id of a sender that may signal once ('': any number of times)
-- RETURNS 'delivered', 'kept', 'repeated' (this sender did before), 'full' (too many are kept), false for an unknown run,
--         or the state of a run that takes none
-- ERRORS  -
-- COST    O(waits of this name that lost a race)
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

local KEPT_AT_MOST = 1000
local now = clock_ms()
local run, name, value, once = hop.run_seen(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
if run.state ~= 'running' then return run.state end
hop.rest_of(run)
if once ~= '' and redis.call('HEXISTS', run.name, 'o:' .. once) == 1 then return 'repeated' end
check('SCARD', key.open(run.id))
check('ZCARD', key.delayed())
check('HLEN', key.messages())
check('SCARD', key.queues())
check('STRLEN', key.order())
local kept = redis.call('LLEN', key.signals(run.id, name))
local position
for passed = 0, 1e9 do -- a wait that has lost its race hears nothing
  position = redis.call('LINDEX', key.waits(run.id, name), passed)
  if not position or not marks.closed(run.id, marks.of(run.id), position, redis.call) then break end
  hop.close_wait(run, position, name)
end
if not position and kept >= KEPT_AT_MOST then return 'full' end
if once ~= '' then hop.note(run, 'o:' .. once, 1) end
if position then hop.answer_wait(now, run, position, name, value) else hop.opened(run, key.signals(run.id, name)) end
tell('signal.received run=' .. run.id .. ' name=' .. name .. ' tenant=' .. (run.tenant or ''))

arrivals.land()
if not position then redis.call('RPUSH', key.signals(run.id, name), value) end
hop.draw_edges(now, 0)
publish()
return position and 'delivered' or 'kept'
