-- forget: takes ended runs away before their time; those that a key, a letter or work under way still needs stay.
-- KEYS    1 prefix of the shard
-- ARGV    1.. runs
-- RETURNS number of runs taken away
-- ERRORS  -
-- COST    O(stages + open joins) a run
-- FLAGS   allow-oom
-- include: slices
-- include: check

check('ZCARD', key.runs())
check('HLEN', key.held())
local runs, names = {}, {}

-- A letter finds its way back by its run.
local function has_letters(run)
  local fields = redis.call('HGETALL', key.run(run))
  for i = 1, #fields, 2 do
    local position = string.match(fields[i], '^s:(.*)$')
    if position and string.find(fields[i + 1], '^%d+ %d+ %d+ %d+ dead ') and
      redis.call('HLEN', key.letter(run .. ':' .. position)) > 0 then return true end
  end
  return false
end

local function may_go(run)
  local seen = redis.call('HMGET', key.run(run), 'state', 'claimed')
  if seen[2] then return false end
  return seen[1] == 'completed' or (seen[1] == 'failed' and not has_letters(run))
end

for i = 1, #ARGV do
  local run = ARGV[i]
  if may_go(run) then
    local open = redis.call('SMEMBERS', key.open(run))
    for j = 1, #open do names[#names + 1] = open[j] end
    names[#names + 1] = key.open(run)
    names[#names + 1] = key.run(run)
    runs[#runs + 1] = run
  end
end
if #runs == 0 then return 0 end

call_sliced('UNLINK', names[1], names)
call_sliced('ZREM', key.runs(), runs)
call_sliced('HDEL', key.held(), runs)
return #runs
