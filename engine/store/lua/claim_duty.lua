-- claim_duty: the leader takes the nominal time of a duty that is due; nobody takes it again once it has begun.
-- KEYS    1 prefix of the shard
-- ARGV    1 candidate, 2 its fencing token, 3 duty, 4 period (ms)
-- RETURNS {verdict, nominal time (ms), ms after which to ask again}; verdicts: due, done,
--         busy (the run of an earlier nominal time goes on), deposed (the token is not the leader's)
-- ERRORS  -
-- COST    O(1)
-- FLAGS   allow-oom
-- include: clock

local KEPT = 2592000000
local now, period = clock_ms(), tonumber(ARGV[4])
local nominal = now - now % period
local left = nominal + period - now

local leader = redis.call('HMGET', key.leader(), 'holder', 'token', 'until')
if leader[1] ~= ARGV[1] or leader[2] ~= ARGV[2] or tonumber(leader[3] or '0') <= now then
  return { 'deposed', nominal, left }
end

local name = key.duty(ARGV[3])
local seen = redis.call('HMGET', name, 'nominal', 'begun')
local last = tonumber(seen[1] or '0')
local begun_at, run = string.match(seen[2] or '', '^(%d+) (%S+)$')

-- Taken and, as far as is known, not begun: whoever leads now begins it, and then asks for what is due now.
if last > 0 and tonumber(begun_at or '0') ~= last then
  return { 'due', last, last < nominal and 0 or left }
end
-- A last time far ahead is left over from before the clock was put back.
if last >= nominal and last <= now + period then return { 'done', nominal, left } end
if run and redis.call('HGET', key.run(run), 'state') == 'running' then return { 'busy', nominal, left } end

redis.call('HSET', name, 'nominal', string.format('%.0f', nominal), 'token', ARGV[2])
redis.call('PEXPIRE', name, KEPT)
return { 'due', nominal, left }
