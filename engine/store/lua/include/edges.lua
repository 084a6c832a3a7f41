-- edges: what a finished attempt, or the start of a run, leads to. Gathered here, written by `draw_edges`.
-- needs: record, slices, check, arrivals, tale
--   {'send', position, queue, priority, allowed, body}
--   {'open', join, members, position, queue, priority, allowed, body}
--   {'each', each, first, items, window, queue, priority, allowed, body, join}
--   {'arrive', join, member, result}
--   {'end', result}
local hop = {}
hop.joins = {}  -- key of a join -> {fields to write, arrived, members, ...}
hop.eaches = {} -- key of an each -> {fields to write, next, ...}
hop.runs = {}   -- run id -> what is known and changed of it

function hop.rest_of(run)
  local seen = redis.call('HMGET', run.name, 'state', 'tenant', 'keep', 'waited', 'pipeline', 'branched', 'failed_keep')
  run.state = run.state or seen[1]
  run.tenant, run.keep, run.waited = seen[2] or run.tenant, tonumber(seen[3] or '0'), seen[4]
  run.pipeline, run.branched = seen[5] or '', run.branched or seen[6]
  run.failed_keep = tonumber(seen[7])
end

-- A run as the script sees it; its state is read once, the rest only where it ends.
function hop.run_seen(id, tenant, ends)
  local run = hop.runs[id]
  if not run then
    run = { id = id, name = key.run(id), tenant = tenant }
    if ends then hop.rest_of(run) else run.state = redis.call('HGET', run.name, 'state') end
    hop.runs[id] = run
  end
  return run
end

function hop.note(run, field, value)
  local fields = run.fields or {}
  run.fields = fields
  fields[#fields + 1] = field
  fields[#fields + 1] = value
end

-- Notes that the run has opened, or is done with, a key of its own.
function hop.opened(run, name)
  run.opened = run.opened or {}
  if not run.branched then
    run.branched = true
    hop.note(run, 'branched', 1)
  end
  run.opened[#run.opened + 1] = name
end

function hop.closed(run, name)
  run.closed = run.closed or {}
  run.closed[#run.closed + 1] = name
end

-- Notes what became of a stage and, for those behind it that may ask, its result.
function hop.note_stage(run, position, told, result)
  hop.note(run, 's:' .. position, told)
  if result then hop.note(run, 'r:' .. position, result) end
end

function hop.join_seen(run, position)
  local name = key.join(run.id, position)
  local join = hop.joins[name]
  if not join then
    check('SCARD', key.open(run.id))
    local seen = redis.call('HMGET', name, 'members', 'position', 'queue', 'priority', 'allowed', 'body', 'each', 'arrived')
    join = { name = name, at = position, members = tonumber(seen[1] or '0'), position = seen[2], queue = seen[3],
      priority = tonumber(seen[4] or '0'), allowed = tonumber(seen[5] or '0'), body = seen[6], each = seen[7],
      arrived = tonumber(seen[8] or '0'), known = seen[1] and true, fields = {}, members_now = {} }
    hop.joins[name] = join
  end
  return join
end

function hop.each_seen(run, position)
  local name = key.each(run.id, position)
  local each = hop.eaches[name]
  if not each then
    local seen = redis.call('HMGET', name, 'items', 'next', 'queue', 'priority', 'allowed')
    each = { name = name, at = position, items = tonumber(seen[1] or '0'), next = tonumber(seen[2] or '0'), queue = seen[3],
      priority = tonumber(seen[4] or '0'), allowed = tonumber(seen[5] or '0'), fields = {}, done = {} }
    hop.eaches[name] = each
  end
  return each
end

function hop.send_item(now, run, each)
  local message = run.id .. ':' .. each.at .. '.' .. each.next
  arrivals.send(now, message, 'e', each.queue, run.tenant, each.priority, each.allowed, 0, '')
  each.next = each.next + 1
end

function hop.arrive(now, run, position, member, result)
  local join = hop.join_seen(run, position)
  if not join.known or join.members_now[member] or redis.call('HEXISTS', join.name, member) == 1 then return end
  join.members_now[member] = true
  join.fields[#join.fields + 1] = member
  join.fields[#join.fields + 1] = result
  join.arrived = join.arrived + 1
  if join.each then
    local each = hop.each_seen(run, join.each)
    each.done[#each.done + 1] = member
    if each.next < each.items then hop.send_item(now, run, each) end
  end
  if join.arrived == join.members then
    arrivals.send(now, run.id .. ':' .. join.position, 'j', join.queue, run.tenant, join.priority, join.allowed, 0,
      join.at .. '\n' .. join.body)
    if join.each then hop.closed(run, key.each(run.id, join.each)) end
  end
end

function hop.open_join(run, position, members, successor, queue, priority, allowed, body, each)
  local join = hop.join_seen(run, position)
  if join.known then return end
  join.known, join.members, join.position, join.queue = true, members, successor, queue
  join.priority, join.allowed, join.body, join.each = priority, allowed, body, each
  join.fields = { 'members', members, 'position', successor, 'queue', queue, 'priority', priority,
    'allowed', allowed, 'body', body }
  if each then
    join.fields[#join.fields + 1] = 'each'
    join.fields[#join.fields + 1] = each
  end
  hop.opened(run, join.name)
end

function hop.open_each(now, run, position, items, window, queue, priority, allowed, body)
  local each = hop.each_seen(run, position)
  if each.queue then return end
  each.items, each.queue, each.priority, each.allowed = #items, queue, priority, allowed
  each.fields = { 'items', #items, 'queue', queue, 'priority', priority, 'allowed', allowed, 'body', body }
  for i = 1, #items do
    each.fields[#each.fields + 1] = i - 1
    each.fields[#each.fields + 1] = items[i]
  end
  hop.opened(run, each.name)
  for _ = 1, math.min(window, #items) do hop.send_item(now, run, each) end
end

function hop.end_run(now, run, state, result)
  if not run.keep then hop.rest_of(run) end
  run.ended = state
  hop.note(run, 'state', state)
  hop.note(run, 'ended', now)
  if result then hop.note(run, 'result', result) end
  if run.branched then check('SCARD', key.open(run.id)) end
  if run.waited then check('SCARD', key.waiters(run.id)) end
  tell('run.' .. state .. ' run=' .. run.id .. ' pipeline=' .. run.pipeline .. ' tenant=' .. (run.tenant or ''))
end

function hop.follow(now, run, edges)
  for i = 1, #edges do
    local e = edges[i]
    local verb = e[1]
    if verb == 'send' then
      arrivals.send(now, run.id .. ':' .. e[2], 's', e[3], run.tenant, e[4], e[5], 0, e[6])
    elseif verb == 'arrive' then
      hop.arrive(now, run, e[2], e[3], e[4])
    elseif verb == 'open' then
      hop.open_join(run, e[2], e[3], e[4], e[5], e[6], e[7], e[8])
    elseif verb == 'each' then
      hop.open_each(now, run, e[2], e[3], e[4], e[5], e[6], e[7], e[8])
      local j = e[9]
      hop.open_join(run, j[1], #e[3], j[2], j[3], j[4], j[5], j[6], e[2])
    elseif verb == 'end' then
      hop.end_run(now, run, 'completed', e[2])
    end
  end
end

function hop.wake_waiters(run)
  if not run.waited then return end
  local waiters = redis.call('SMEMBERS', key.waiters(run.id))
  for i = 1, #waiters do
    redis.pcall('LPUSH', key.waiter(waiters[i]), run.id) -- a broken waiter does not hold up the run
    redis.pcall('PEXPIRE', key.waiter(waiters[i]), 60000)
  end
  redis.call('DEL', key.waiters(run.id))
end

-- The end of a run sets the life of all its keys.
function hop.expire_run(run, keep)
  keep = math.max(keep, 1)
  redis.call('PEXPIRE', run.name, keep)
  if run.branched then
    local open = redis.call('SMEMBERS', key.open(run.id))
    for i = 1, #open do redis.call('PEXPIRE', open[i], keep) end
    if #open > 0 then redis.call('PEXPIRE', key.open(run.id), keep) end
  end
  hop.wake_waiters(run)
end

-- How long a failed run is kept: as its start said, else as the process that ends it says.
function hop.failed_keep(run, dead_keep) return math.max(run.keep, run.failed_keep or dead_keep) end

function hop.draw_edges(dead_keep)
  for _, join in pairs(hop.joins) do
    if #join.fields > 0 then
      call_sliced('HSET', join.name, join.fields)
      redis.call('HSET', join.name, 'arrived', join.arrived)
    end
  end
  for _, each in pairs(hop.eaches) do
    call_sliced('HSET', each.name, each.fields)
    call_sliced('HDEL', each.name, each.done)
    redis.call('HSET', each.name, 'next', each.next)
  end
  for id, run in pairs(hop.runs) do
    if run.fields then call_sliced('HSET', run.name, run.fields) end
    if run.letters then redis.call('HINCRBY', run.name, 'letters', run.letters) end
    if run.opened then redis.call('SADD', key.open(id), unpack(run.opened)) end
    if run.closed then
      redis.call('UNLINK', unpack(run.closed))
      redis.call('SREM', key.open(id), unpack(run.closed))
    end
    if run.ended then
      hop.expire_run(run, run.ended == 'failed' and hop.failed_keep(run, dead_keep) or run.keep)
    elseif run.state == 'failed' and run.opened then
      hop.rest_of(run)
      hop.expire_run(run, hop.failed_keep(run, dead_keep))
    end
  end
end
