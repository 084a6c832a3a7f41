-- flush: drops the waiting and delayed plain messages of a queue; a slice a call.
-- KEYS    1 prefix of the shard
-- ARGV    1 queue, 2 cursor, 3 about how many to look at
-- RETURNS {next cursor, messages dropped}; go on until the cursor is 0 again
-- ERRORS  -
-- COST    O(messages)
-- FLAGS   allow-oom
-- include: record
-- include: slices
-- include: check

local queue, at_most = ARGV[1], tonumber(ARGV[3])
check('HLEN', key.queue(queue))
check('HLEN', key.messages())
check('ZCARD', key.delayed())
check('ZCARD', key.suspects(queue))
local plain = {} -- {id, tenant}
local found = redis.call('HSCAN', key.messages(), ARGV[2], 'COUNT', at_most)
for i = 1, #found[2], 2 do
  local kind, _, _, _, _, _, of, tenant = header_of(found[2][i + 1])
  if kind == 'd' and of == queue then
    check('ZCARD', key.waiting(queue, tenant))
    plain[#plain + 1] = { found[2][i], tenant }
  end
end

local ids, waiting, delayed = {}, 0, 0
for i = 1, #plain do
  local id, tenant = unpack(plain[i])
  if redis.call('ZREM', key.waiting(queue, tenant), id) == 1 or redis.call('ZREM', key.suspects(queue), id) == 1 then
    waiting = waiting + 1
    ids[#ids + 1] = id
  elseif redis.call('ZREM', key.delayed(), id) == 1 then
    delayed = delayed + 1
    ids[#ids + 1] = id
  end
end
call_sliced('HDEL', key.messages(), ids)
if waiting > 0 then redis.call('HINCRBY', key.queue(queue), 'waiting', -waiting) end
if delayed > 0 then redis.call('HINCRBY', key.queue(queue), 'delayed', -delayed) end
return { found[1], #ids }
