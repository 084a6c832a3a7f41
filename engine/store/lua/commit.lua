-- commit: ends deliveries, a group in one call; each entry is a whole hop or nothing.
-- KEYS    1 prefix of the shard
-- ARGV    1 consumer, 2 number of this commit, 3 kept ms of failed runs, 4 grace ms of unknown stages,
--         5.. one msgpack array a delivery: {id, token, kind, queue, tenant, verb, attempt, wait_ms, run_ms, delay_ms,
--         reason, story, edges, outbox, stage, result or false}; verbs: done caught retry dead snooze release
--         unknown drop; token, attempt, wait_ms and run_ms are text, which spares the script their formatting
-- RETURNS one verdict a delivery: committed, stale, or refused:<code>
-- ERRORS  -
-- COST    O(edges) a delivery
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

local now = tostring(clock_ms()) -- text, as it is mostly written
local consumer, number = ARGV[1], ARGV[2]
local dead_keep, unknown_grace = tonumber(ARGV[3]), tonumber(ARGV[4])

local seen = redis.call('HMGET', key.consumer(consumer), 'commit', 'verdicts', 'pid')
if seen[1] == number and seen[2] then return cmsgpack.unpack(seen[2]) end

local entries = {}
local ids = {}
for i = 5, #ARGV do
  local entry = cmsgpack.unpack(ARGV[i])
  entries[#entries + 1] = entry
  ids[#ids + 1] = entry[1]
end
local tokens = #ids > 0 and read_sliced('HMGET', key.lease(consumer), ids) or {}
check('HLEN', key.messages())
local any_unknown = redis.call('HLEN', key.unknown()) > 0
check('SCARD', key.queues())

local verdicts = {}
local ended = {}    -- ids whose lease ends
local gone = {}     -- ids whose record goes
local forget = {}   -- keys that go with them
local failures = {} -- id, story, ... to remember
local known = {}    -- ids that are no longer unknown
local first_unknown = {}

local function record_now(id) return redis.call('HGET', key.messages(), id) end

-- Returns the message to its place, with another count, due time or suspicion.
local function put_back(id, record, attempt, stalls, delay)
  local kind, _, _, allowed, order, due, queue, tenant, at = header_of(record)
  local body = string.sub(record, at)
  arrivals.fresh[#arrivals.fresh + 1] = id
  if delay > 0 then due = now + delay end
  arrivals.fresh[#arrivals.fresh + 1] = record_of(kind, attempt, stalls, allowed, order, due, queue, tenant, body)
  if delay > 0 then
    arrivals.wait_until(queue, due, id)
  elseif stalls ~= '-' then
    arrivals.suspect_at(queue, order, id)
  else
    arrivals.wait_at(queue, tenant, order, id)
  end
end

local function die(id, kind, queue, tenant, attempt, reason, story, stage)
  graves.bury(id, record_now(id), queue, tenant, reason, story)
  gone[#gone + 1] = id
  if kind == 'd' then
    tell('message.died message=' .. id .. ' queue=' .. queue .. ' tenant=' .. tenant .. ' reason=' .. reason)
    return
  end
  local run = hop.run_seen(run_of(id), tenant)
  if run.state then
    hop.note(run, 's:' .. position_of(id), attempt .. ' ' .. now .. ' 0 0 dead ' .. stage)
    run.letters = (run.letters or 0) + 1
  end
  tell('stage.died run=' .. run.id .. ' position=' .. position_of(id) .. ' stage=' .. stage .. ' queue=' .. queue .. ' tenant=' .. tenant .. ' attempt=' .. attempt .. ' reason=' .. reason)
  if run.state == 'running' then
    hop.fail(now, run)
  elseif kind == 'u' and run.state == 'undoing' then
    hop.next_undo(now, run)
  end
end

local function undoes(edges) return #edges > 0 and edges[#edges][1] == 'undo' end

-- What a run that is being undone, or has been, still takes in.
local function done_too_late(run, kind, edges)
  hop.follow_undos(now, run, edges)
  if kind == 'u' and run.state == 'undoing' then hop.next_undo(now, run) end
end

local function done(id, kind, verb, tenant, attempt, wait, took, edges, stage, result, queue)
  gone[#gone + 1] = id
  if attempt ~= '1' then forget[#forget + 1] = key.errors(id) end
  if kind == 'd' then return 'committed' end
  local ends = edges[1] and edges[1][1] == 'end'
  local run = hop.run_seen(run_of(id), tenant, ends)
  if run.state ~= 'running' and run.state ~= 'failed' and run.state ~= 'undoing' then
    return 'refused:run_' .. (run.state or 'gone')
  end
  local position = position_of(id)
  if not string.find(position, '.', 1, true) then
    local how = verb == 'caught' and ' caught ' or kind == 'u' and ' undone ' or ' done '
    hop.note_stage(run, position, attempt .. ' ' .. now .. ' ' .. wait .. ' ' .. took .. how .. stage, verb == 'done' and result)
  end
  tell((verb == 'caught' and 'stage.caught run=' or 'stage.completed run=') .. run.id .. ' position=' .. position .. ' stage=' .. stage .. ' queue=' .. queue .. ' tenant=' .. tenant .. ' attempt=' .. attempt .. ' wait_ms=' .. wait .. ' run_ms=' .. took)
  if kind == 'j' then
    local join = key.join(run.id, join_of(record_now(id) or '') or '')
    forget[#forget + 1] = join
    hop.closed(run, join)
  end
  -- A failed run goes on where it can, until it has something to undo.
  if run.state == 'running' or (run.state == 'failed' and not undoes(edges) and not redis.call('HGET', run.name, 'undone')) then
    hop.follow(now, run, edges)
  else
    done_too_late(run, kind, edges)
  end
  return 'committed'
end

-- A timer comes too late when its wait has been answered; else it closes the wait.
local function too_late(id, tenant)
  local run = hop.run_seen(run_of(id), tenant)
  local name = redis.call('HGET', key.wait(run.id, position_of(id)), 'name')
  if name then hop.close_wait(run, position_of(id), name) end
  return not name
end

local function outbox(entry)
  for _, m in ipairs(entry[14] or {}) do
    local id, queue, tenant, priority, allowed, delay, body = unpack(m, 1, 7)
    arrivals.send(now, id, 'd', queue, tenant, priority, allowed, delay, body)
  end
end

local function settle(entry)
  local id, token, kind, queue, tenant, verb, attempt, wait, took, delay, reason, story, edges, _, stage, result = unpack(entry, 1, 16)
  ended[#ended + 1] = id
  leases.free(queue, tenant)
  if any_unknown and verb ~= 'unknown' and verb ~= 'release' then known[#known + 1] = id end
  if kind ~= 'd' and hop.lost(run_of(id), position_of(id)) then
    gone[#gone + 1] = id
    return 'refused:scope_closed'
  end
  if kind == 't' and (verb == 'done' or verb == 'caught' or verb == 'dead') and too_late(id, tenant) then
    gone[#gone + 1] = id
    return 'refused:answered'
  end
  outbox(entry)
  if verb == 'done' or verb == 'caught' then
    return done(id, kind, verb, tenant, attempt, wait, took, edges, stage, result, queue)
  end
  if verb == 'drop' then
    gone[#gone + 1] = id
    return 'committed'
  end
  local record = record_now(id)
  if not record then return 'refused:message_gone' end
  if verb == 'retry' then
    check('LLEN', key.errors(id))
    failures[#failures + 1] = { key.errors(id), story }
    put_back(id, record, tonumber(attempt) + 1, '-', math.max(delay, 1))
    if kind ~= 'd' then
      local run = hop.run_seen(run_of(id), tenant)
      tell('stage.retried run=' .. run.id .. ' position=' .. position_of(id) .. ' stage=' .. stage .. ' queue=' .. queue .. ' tenant=' .. tenant .. ' attempt=' .. attempt .. ' delay_ms=' .. delay)
    end
  elseif verb == 'snooze' then
    put_back(id, record, attempt, '-', math.max(delay, 1))
  elseif verb == 'release' then
    local _, tried, stalls = header_of(record)
    put_back(id, record, tried, stalls, 0)
  elseif verb == 'unknown' then
    local first = tonumber(redis.call('HGET', key.unknown(), id) or now)
    if now - first >= unknown_grace then
      known[#known + 1] = id
      die(id, kind, queue, tenant, attempt, reason, story, stage)
    else
      first_unknown[#first_unknown + 1] = id
      put_back(id, record, attempt, '-', 1000)
    end
  elseif verb == 'dead' then
    die(id, kind, queue, tenant, attempt, reason, story, stage)
  end
  return 'committed'
end

local taken = {}
for i = 1, #entries do
  local entry = entries[i]
  local held = tokens[i] and token_of(tokens[i])
  if not held or held ~= entry[2] or taken[entry[1]] then
    verdicts[i] = 'stale'
  else
    taken[entry[1]] = true
    verdicts[i] = settle(entry)
  end
end
leases.check_freed()

call_sliced('HDEL', key.lease(consumer), ended)
call_sliced('HDEL', key.messages(), gone)
if #forget > 0 then redis.call('UNLINK', unpack(forget)) end
arrivals.land()
hop.draw_edges(now, dead_keep)
graves.dig(now)
leases.settle_freed()
for i = 1, #failures do
  local name, story = unpack(failures[i])
  redis.call('RPUSH', name, story)
  redis.call('LTRIM', name, -20, -1)
  redis.call('PEXPIRE', name, 2592000000)
end
for i = 1, #first_unknown do redis.call('HSETNX', key.unknown(), first_unknown[i], now) end
call_sliced('HDEL', key.unknown(), known)
publish()
-- A consumer that was taken for dead has nothing to be remembered: all of it is stale again.
if seen[3] then redis.call('HSET', key.consumer(consumer), 'commit', number, 'verdicts', cmsgpack.pack(verdicts)) end
return verdicts
