-- usage: adds to what a tenant used this month, each kind at most once a run.
-- KEYS    1 prefix of the shard
-- ARGV    1 tenant, 2 run that used it, 3 kept ms after the last addition, 4.. kind, amount, kind, amount, ...
-- RETURNS one number a kind: 1 added, 0 the run has added this kind before
-- ERRORS  RUN_GONE the run is not stored, so nothing remembers what it added
-- COST    O(kinds)
-- FLAGS   allow-oom
-- include: clock

-- The civil month of a time, by days since 0000-03-01 (Howard Hinnant, chrono-compatible date algorithms).
local function month_of(ms)
  local days = math.floor(ms / 86400000) + 719468
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local of_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local from_march = math.floor((5 * of_year + 2) / 153)
  local month = from_march < 10 and from_march + 3 or from_march - 9
  return string.format('%04d-%02d', year + era * 400 + (month <= 2 and 1 or 0), month)
end

local tenant, run = ARGV[1], key.run(ARGV[2])
if redis.call('HEXISTS', run, 'state') == 0 then return redis.error_reply('RUN_GONE ' .. ARGV[2]) end
local total = key.usage(tenant, month_of(clock_ms()))
redis.call('HLEN', total)

local added = {}
local seen = {}
for i = 4, #ARGV, 2 do
  local mark = 'u:' .. ARGV[i]
  added[#added + 1] = (seen[mark] or redis.call('HEXISTS', run, mark) == 1) and 0 or 1
  seen[mark] = true
end

for i = 1, #added do
  if added[i] == 1 then
    local kind, amount = ARGV[2 + 2 * i], ARGV[3 + 2 * i]
    redis.call('HSET', run, 'u:' .. kind, amount)
    redis.call('HINCRBY', total, kind, amount)
    redis.call('PEXPIRE', total, ARGV[3])
  end
end
return added
