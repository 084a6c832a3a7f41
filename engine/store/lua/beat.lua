-- beat: notes that a consumer lives, returns what is due of the dead, and answers with what it must know.
-- KEYS    1 prefix of the shard
-- ARGV    1 consumer, 2 ms of silence that is death, where the silent one did not ask for more, 3 ms without a reap that earn everyone a fresh start, 4 kept ms of
--         failed runs, 5 see cancelled runs since (ms), 6.. its queues
-- RETURNS {now ms, leases held, work waits 0|1, {paused queues}, {runs cancelled since}}
-- ERRORS  GONE the consumer was taken for dead: drop what is held, come back under a new id
-- COST    O(1) when nobody is dead; at most 200 leases otherwise
-- FLAGS   allow-oom
-- include: clock
-- include: record
-- include: slices
-- include: check
-- include: arrivals
-- include: tale
-- include: graves
-- include: leases
-- include: marks
-- include: edges
-- include: branches
-- include: returns

local RETURNED_AT_MOST = 200
local BURIED_AT_MOST = 20 -- consumers
local now = clock_ms()
local consumer = ARGV[1]
local silence, gap, dead_keep, since = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
check('HLEN', key.consumer(consumer))
check('HLEN', key.lease(consumer))
check('HLEN', key.messages())
check('SCARD', key.queues())
check('ZCARD', key.cancelled())
check('ZCARD', key.delayed())
for i = 6, #ARGV do check('HLEN', key.queue(ARGV[i])) end
if not redis.call('ZSCORE', key.consumers(), consumer) then return redis.error_reply('GONE ' .. consumer) end

-- A silence is not a death while nobody was listening.
local reaped = redis.call('HMGET', key.reap(), 'at', 'grace')
local last, grace = tonumber(reaped[1] or '0'), tonumber(reaped[2] or '0')
if now - last > gap or now < last then grace = now end

-- After the clock went back, a beat of the future would keep a dead consumer alive until then.
local ahead = redis.call('ZRANGE', key.consumers(), '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, 1000)

local dead, buried = {}, {} -- dead: {name, from and to in `returned`, whether that is all}
if now - grace > silence or grace == 0 then
  local silent = redis.call('ZRANGE', key.consumers(), '-inf', '(' .. (now - silence), 'BYSCORE', 'LIMIT', 0, BURIED_AT_MOST, 'WITHSCORES')
  for i = 1, #silent, 2 do
    if #returned >= RETURNED_AT_MOST then break end
    local own = redis.pcall('HGET', key.consumer(silent[i]), 'silence')
    local spared = type(own) == 'string' and now - silent[i + 1] <= tonumber(own)
    if silent[i] ~= consumer and not spared then
      local held = redis.pcall('HGETALL', key.lease(silent[i])) -- a broken one tells nothing: it goes
      local number, from = math.min(#held / 2, RETURNED_AT_MOST - #returned), #returned + 1
      for j = 1, number * 2, 2 do
        local letter = give_back(held[j], held[j + 1], redis.call('HGET', key.messages(), held[j]))
        if letter then buried[#buried + 1] = letter end
      end
      dead[#dead + 1] = { silent[i], from, #returned, number == #held / 2 }
      tell('consumer.lost consumer=' .. silent[i] .. ' leases=' .. number)
    end
  end
end
-- The run does not need it any more: the loser of a race, or the timer of a wait that was answered.
local function is_over(b, run)
  local position = position_of(b.id)
  if b.kind == 't' then return redis.call('HEXISTS', key.wait(run.id, position), 'name') == 0 end
  return marks.any and marks.closed(run.id, marks.of(run.id), position, redis.call)
end

if #dead > 0 then
  for i = 1, #buried do
    local b = buried[i]
    if b.kind == 'd' then
      tell('message.died message=' .. b.id .. ' queue=' .. b.queue .. ' tenant=' .. b.tenant .. ' reason=' .. b.reason)
    else
      local run = hop.run_seen(run_of(b.id), b.tenant)
      tell('stage.died run=' .. run.id .. ' position=' .. position_of(b.id) .. ' queue=' .. b.queue .. ' tenant=' .. b.tenant .. ' attempt=' .. b.attempt .. ' reason=stalled')
      if run.state then run.letters = (run.letters or 0) + 1 end
      if run.state == 'running' and not is_over(b, run) then
        hop.fail(now, run)
      elseif b.kind == 'u' and run.state == 'undoing' then
        hop.next_undo(now, run)
      end
    end
  end
  leases.check_freed()
end

for i = 1, #ahead do redis.call('ZADD', key.consumers(), now, ahead[i]) end
redis.call('ZADD', key.consumers(), now, consumer)
redis.call('HSET', key.reap(), 'at', now, 'grace', grace)
if #dead > 0 then
  for i = 1, #dead do
    local name, from, to, all = unpack(dead[i])
    if all then
      redis.call('ZREM', key.consumers(), name)
      redis.call('UNLINK', key.consumer(name), key.lease(name))
    elseif to >= from then
      redis.call('HDEL', key.lease(name), unpack(returned, from, to))
    end
  end
  local gone = {}
  for i = 1, #buried do gone[i] = buried[i].id end
  call_sliced('HDEL', key.messages(), gone)
  arrivals.land()
  hop.draw_edges(now, dead_keep)
  graves.dig(now)
  leases.settle_freed()
  publish()
end

local paused, waits = {}, 0
for i = 6, #ARGV do
  if redis.call('HEXISTS', key.queue(ARGV[i]), 'paused') == 1 then
    paused[#paused + 1] = ARGV[i]
  elseif redis.call('EXISTS', key.ring(ARGV[i]), key.suspects(ARGV[i])) > 0 then
    waits = 1
  end
end
local first = redis.call('ZRANGE', key.delayed(), 0, 0, 'WITHSCORES')[2]
if first and tonumber(first) <= now then waits = 1 end
return { now, redis.call('HLEN', key.lease(consumer)), waits, paused,
  redis.call('ZRANGE', key.cancelled(), '(' .. string.format('%.0f', since), '+inf', 'BYSCORE', 'LIMIT', 0, 1000) }
