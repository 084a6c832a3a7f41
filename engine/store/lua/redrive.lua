-- redrive: puts a dead letter back to work at the end of its queue, counted anew; a run's last one sets it going again.
-- KEYS    1 prefix of the shard
-- ARGV    1 message, 2 new body ('' keeps the old), 3 'whole' if the new body carries the stage's input itself: it is
--         no longer taken from a join or an each
-- RETURNS 'redriven', 'unknown' (no such letter), 'run_gone', 'undoing' or 'undone' (what the run did is taken back: only
--         what undoes can be redriven then, and after the run has ended), or 'undecodable' (no body to run)
-- ERRORS  -
-- COST    O(open joins)
-- FLAGS   -
-- include: clock
-- include: record
-- include: slices
-- include: check
-- include: arrivals
-- include: tale

local now = clock_ms()
local id = ARGV[1]
local letter = redis.call('HMGET', key.letter(id), 'queue', 'record', 'tenant')
if not letter[1] then return 'unknown' end
local kind, _, _, allowed, order, _, queue, tenant, at = header_of(letter[2] or '')
if not kind then return 'undecodable' end
check('ZCARD', key.dead(queue))
check('SCARD', key.queues())
local body = ARGV[2]
if body == '' then
  body = string.sub(letter[2], at)
elseif ARGV[3] == 'whole' and kind ~= 'd' then
  kind = 's'
elseif kind == 'j' then
  body = join_of(letter[2]) .. '\n' .. body
end
local run = kind ~= 'd' and run_of(id)
local open, goes_on = {}, false
if run then
  local seen = redis.call('HMGET', key.run(run), 'state', 'letters', 'undone')
  if seen[1] == 'undoing' then return 'undoing' end
  if seen[3] and kind ~= 'u' then return 'undone' end
  if seen[1] ~= 'failed' and seen[1] ~= 'running' and not seen[3] then return 'run_gone' end
  open = redis.call('SMEMBERS', key.open(run))
  -- With another letter it cannot end yet: it stays failed, and goes by itself if that one is never redriven.
  goes_on = kind ~= 'u' and tonumber(seen[2] or '1') <= 1
end
local priority = math.ceil(order / BAND) - 1
arrivals.send(now, id, kind, queue, tenant, priority, allowed, 0, body)
arrivals.count(queue, 'dead', -1)
tell('letter.redriven message=' .. id .. ' queue=' .. queue .. ' tenant=' .. tenant)

arrivals.land()
redis.call('UNLINK', key.letter(id), key.errors(id))
redis.call('ZREM', key.dead(queue), id)
if run then redis.call('HINCRBY', key.run(run), 'letters', -1) end
if goes_on then
  redis.call('HSET', key.run(run), 'state', 'running')
  redis.call('HDEL', key.run(run), 'ended')
  redis.call('PERSIST', key.run(run))
  for i = 1, #open do redis.call('PERSIST', open[i]) end
  if #open > 0 then redis.call('PERSIST', key.open(run)) end
end
publish()
return 'redriven'
