-- edges: what a finished attempt, or the start of a run, leads to. Gathered here, written by `draw_edges`.
-- needs: record, slices, check, arrivals, tale
--   {'send', position, queue, priority, allowed, body [, delay ms, due ms]}
--   {'open', join, members, position, queue, priority, allowed, body [, policy]}, policy: see `joins`
--   {'each', each, items, window, queue, priority, allowed, body, join [, send of the next page]}
--   {'arrive', join, member, result [, failed]}
--   {'end', result}
--   and what `branches` adds
local hop = {}
hop.joins = {}  -- key of a join -> {fields to write, arrived, members, ...}
hop.eaches = {} -- key of an each -> {fields to write, next, ...}
hop.runs = {}   -- run id -> what is known and changed of it

function hop.rest_of(run)
  local seen = redis.call('HMGET', run.name, 'state', 'tenant', 'keep', 'waited', 'pipeline', 'branched', 'failed_keep', 'parent', 'children')
  run.state = run.state or seen[1]
  run.tenant, run.keep, run.waited = seen[2] or run.tenant, tonumber(seen[3] or '0'), seen[4]
  run.pipeline, run.branched = seen[5] or '', run.branched or seen[6]
  run.failed_keep, run.parent, run.children = tonumber(seen[7]), seen[8], run.children or seen[9]
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

-- Whether a position lies in a scope that is closed, or is being closed by this very call.
function hop.lost(id, position)
  local run = hop.runs[id]
  local closing = run and run.apart and run.apart.scopes or ''
  return (marks.any or closing ~= '') and marks.closed(marks.of(id) .. closing, position)
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
    local seen = redis.call('HMGET', name, 'members', 'position', 'queue', 'priority', 'allowed', 'body', 'each', 'arrived', 'policy')
    join = { name = name, at = position, members = tonumber(seen[1] or '0'), position = seen[2], queue = seen[3],
      priority = tonumber(seen[4] or '0'), allowed = tonumber(seen[5] or '0'), body = seen[6], each = seen[7],
      arrived = tonumber(seen[8] or '0'), known = seen[1] and true, fields = {}, members_now = {} }
    if seen[9] then
      join.policy = cmsgpack.unpack(seen[9])
      local ended = redis.call('HMGET', name, 'failed', 'fired')
      join.failed, join.fired = tonumber(ended[1] or '0'), ended[2] and true
    end
    hop.joins[name] = join
  end
  return join
end

function hop.each_seen(run, position)
  local name = key.each(run.id, position)
  local each = hop.eaches[name]
  if not each then
    local seen = redis.call('HMGET', name, 'items', 'next', 'queue', 'priority', 'allowed', 'window', 'more')
    each = { name = name, at = position, items = tonumber(seen[1] or '0'), next = tonumber(seen[2] or '0'), queue = seen[3],
      priority = tonumber(seen[4] or '0'), allowed = tonumber(seen[5] or '0'), window = tonumber(seen[6] or '1'),
      more = seen[7] and cmsgpack.unpack(seen[7]), fields = {}, done = {} }
    hop.eaches[name] = each
  end
  return each
end

function hop.send_item(now, run, each)
  local message = run.id .. ':' .. each.at .. '.' .. each.next
  arrivals.send(now, message, 'e', each.queue, run.tenant, each.priority, each.allowed, 0, '')
  each.next = each.next + 1
end

-- Asks for the next page while the items at hand still fill the window.
function hop.turn_page(now, run, each)
  if each.more and each.items - each.next < each.window then
    hop.send(now, run, each.more)
    each.more = nil
    each.done[#each.done + 1] = 'more'
  end
end

function hop.go_on(now, run, join)
  arrivals.send(now, run.id .. ':' .. join.position, 'j', join.queue, run.tenant, join.priority, join.allowed, 0,
    join.at .. '\n' .. join.body)
  if join.each then hop.closed(run, key.each(run.id, join.each)) end
end

function hop.arrive(now, run, position, member, result, failed)
  local join = hop.join_seen(run, position)
  if not join.known or join.fired or join.members_now[member] or redis.call('HEXISTS', join.name, member) == 1 then return end
  join.members_now[member] = true
  join.fields[#join.fields + 1] = member
  join.fields[#join.fields + 1] = result
  join.arrived = join.arrived + 1
  if join.each then
    local each = hop.each_seen(run, join.each)
    each.done[#each.done + 1] = member
    if each.next < each.items then hop.send_item(now, run, each) end
    hop.turn_page(now, run, each)
  end
  if join.policy then
    hop.weigh(now, run, join, result, failed)
  elseif join.arrived == join.members then
    hop.go_on(now, run, join)
  end
end

function hop.open_join(run, position, members, successor, queue, priority, allowed, body, each, policy)
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
  if policy then
    join.policy, join.failed = policy, 0
    join.fields[#join.fields + 1] = 'policy'
    join.fields[#join.fields + 1] = cmsgpack.pack(policy)
  end
  hop.opened(run, join.name)
end

function hop.add_items(each, items)
  for i = 1, #items do
    each.fields[#each.fields + 1] = each.items + i - 1
    each.fields[#each.fields + 1] = items[i]
  end
  each.items = each.items + #items
end

function hop.open_each(now, run, position, items, window, queue, priority, allowed, body, more)
  local each = hop.each_seen(run, position)
  if each.queue then return end
  each.queue, each.priority, each.allowed, each.window = queue, priority, allowed, window
  each.fields = { 'queue', queue, 'priority', priority, 'allowed', allowed, 'body', body, 'window', window }
  hop.add_items(each, items)
  hop.opened(run, each.name)
  for _ = 1, math.min(window, #items) do hop.send_item(now, run, each) end
  if more then hop.set_more(now, run, each, more) end
end

function hop.set_more(now, run, each, more)
  each.more = more
  each.fields[#each.fields + 1] = 'more'
  each.fields[#each.fields + 1] = cmsgpack.pack(more)
  hop.turn_page(now, run, each)
end

function hop.end_run(now, run, state, result)
  if not run.keep then hop.rest_of(run) end
  run.ended, run.state = state, state
  if marks.any or run.parent or run.children then hop.part(now, run, result) end
  hop.note(run, 'state', state)
  hop.note(run, 'ended', now)
  if result then hop.note(run, 'result', result) end
  if run.branched then check('SCARD', key.open(run.id)) end
  if run.waited then check('SCARD', key.waiters(run.id)) end
  tell('run.' .. state .. ' run=' .. run.id .. ' pipeline=' .. run.pipeline .. ' tenant=' .. (run.tenant or ''))
end

function hop.send(now, run, e)
  local delay = 0
  if e[7] then delay = e[8] > 0 and math.max(e[8] - now, 0) or e[7] end
  arrivals.send(now, run.id .. ':' .. e[2], 's', e[3], run.tenant, e[4], e[5], delay, e[6])
end

function hop.follow(now, run, edges)
  for i = 1, #edges do
    local e = edges[i]
    local verb = e[1]
    if verb == 'send' then
      hop.send(now, run, e)
    elseif verb == 'arrive' then
      hop.arrive(now, run, e[2], e[3], e[4], e[5])
    elseif verb == 'open' then
      hop.open_join(run, e[2], e[3], e[4], e[5], e[6], e[7], e[8], nil, e[9])
    elseif verb == 'each' then
      hop.open_each(now, run, e[2], e[3], e[4], e[5], e[6], e[7], e[8], e[10])
      local j = e[9]
      hop.open_join(run, j[1], e[10] and -1 or #e[3], j[2], j[3], j[4], j[5], j[6], e[2])
    elseif verb == 'end' then
      hop.end_run(now, run, 'completed', e[2])
    else
      hop.branch(now, run, e)
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

function hop.draw_edges(now, dead_keep)
  for _, join in pairs(hop.joins) do
    if #join.fields > 0 then
      call_sliced('HSET', join.name, join.fields)
      redis.call('HSET', join.name, 'arrived', join.arrived)
      if join.policy then redis.call('HSET', join.name, 'failed', join.failed) end
    end
  end
  for _, each in pairs(hop.eaches) do
    call_sliced('HSET', each.name, each.fields)
    call_sliced('HDEL', each.name, each.done)
    redis.call('HSET', each.name, 'next', each.next, 'items', each.items)
  end
  for id, run in pairs(hop.runs) do
    if run.fields then call_sliced('HSET', run.name, run.fields) end
    if run.letters then redis.call('HINCRBY', run.name, 'letters', run.letters) end
    if run.apart then hop.draw_apart(now, run) end
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
