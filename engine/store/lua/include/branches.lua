-- branches: the rarer ways a run goes on: quorums, pages, waits, child runs, compensation, pauses.
-- Defined when the first of them is met: most calls never need them.
-- needs: record, slices, check, arrivals, tale, marks, edges
--   policy of an open join: {need, bare 0|1, scope from, scope to, send that fails for it}
--   {'extend', join, items, send of the next page or false}
--   {'wait', wait, name, {position, queue, priority, allowed, body}, timer or false, {the same, for a callback that
--   brings a failure}}, timer: as a send
--   {'child', position, run, pipeline, plan, edges, {position, queue, priority, allowed, body}, send that fails for it}
--   {'undo', position, queue, priority, allowed, body}
local function learn_branches()
  -- What of a run is written by `draw_apart`.
  local function apart(run)
    run.apart = run.apart or { waits = {}, inboxes = {}, calls = {}, undos = {}, taken = 0, children = {}, orphans = {}, unparked = {} }
    return run.apart
  end

  local function with_input(body, input) return string.sub(body, 1, -2) .. ',"input":' .. input .. '}' end

  local function answer(now, run, successor, input)
    local position, queue, priority, allowed, body = unpack(successor, 1, 5)
    arrivals.send(now, run.id .. ':' .. position, 's', queue, run.tenant, priority, allowed, 0, with_input(body, input))
  end

  -- Joins that go on without all their members -----------------------------------------------------

  -- Cancels the child runs of a run; with `stands`, those alone whose position it accepts.
  local function cancel_children(now, run, undo, stands)
    local children = redis.call('SMEMBERS', key.children(run.id))
    for _, born in ipairs(apart(run).children) do children[#children + 1] = born end
    for i = 1, #children do
      local one = hop.run_seen(children[i], run.tenant)
      if stands and not one.parent then hop.rest_of(one) end
      if one.state == 'running' and (not stands or stands(position_of(one.parent))) then
        if not (undo and hop.undo(now, one, 'cancelled')) then hop.end_run(now, one, 'cancelled') end
      end
    end
  end

  -- Closes what lies between two nodes, for the item or round of this position alone.
  local function narrow(now, run, from, to, position)
    local pair = from .. '-' .. to
    local below = string.match(position, '^%d+(.*)$')
    local scope = pair .. below
    local mine = apart(run)
    if not run.keep then hop.rest_of(run) end
    if run.children then
      check('ZCARD', key.cancelled())
      cancel_children(now, run, false, function(child)
        local number, indices = string.match(child, '^(%d+)(.*)$')
        number = tonumber(number)
        return number > from and number < to and (indices == below or string.sub(indices, 1, #below + 1) == below .. '.')
      end)
    end
    check('SCARD', key.scopes(run.id))
    mine.scopes = mine.scopes or {}
    table.insert(mine.scopes, scope)
    hop.opened(run, key.scopes(run.id))
    local held = marks.of(run.id)
    marks.any = true
    marks.seen[run.id] = marks.with(held, pair)
    marks.fresh[run.id] = marks.fresh[run.id] or {}
    marks.fresh[run.id][scope] = true
  end

  function hop.weigh(now, run, join, result, failed)
    local need, bare, from, to, fail = unpack(join.policy, 1, 5)
    if failed then join.failed = join.failed + 1 end
    if join.arrived - join.failed >= need then
      join.fired = true
      if bare == 1 then
        answer(now, run, { join.position, join.queue, join.priority, join.allowed, join.body }, result)
        hop.closed(run, join.name)
      else
        for i = 0, join.members - 1 do
          if not join.members_now[tostring(i)] and redis.call('HEXISTS', join.name, i) == 0 then
            join.fields[#join.fields + 1] = i
            join.fields[#join.fields + 1] = 'null'
          end
        end
        join.fields[#join.fields + 1] = 'fired'
        join.fields[#join.fields + 1] = 1
        hop.go_on(now, run, join)
      end
      if join.arrived < join.members then narrow(now, run, from, to, join.at) end
    elseif join.failed > join.members - need then
      join.fired = true
      hop.send(now, run, fail)
      hop.closed(run, join.name)
      if join.arrived < join.members then narrow(now, run, from, to, join.at) end
    end
  end

  -- Pages -------------------------------------------------------------------------------------------

  local function extend(now, run, position, items, more)
    local join = hop.join_seen(run, position)
    if not join.known or not join.each then return end
    local each = hop.each_seen(run, join.each)
    hop.add_items(each, items)
    while each.next < each.items and each.next - join.arrived < each.window do hop.send_item(now, run, each) end
    if more then return hop.set_more(now, run, each, more) end
    join.members = each.items
    join.fields[#join.fields + 1] = 'members'
    join.fields[#join.fields + 1] = join.members
    if join.members == 0 then
      answer(now, run, { join.position, join.queue, join.priority, join.allowed, join.body }, '[]')
      hop.closed(run, join.name)
      hop.closed(run, each.name)
    elseif join.arrived == join.members then
      hop.go_on(now, run, join)
    end
  end

  -- Waits and signals -------------------------------------------------------------------------------

  local function inbox(run, name)
    local seen = apart(run).inboxes[name]
    if not seen then
      check('LLEN', key.waits(run.id, name))
      seen = { kept = redis.call('LLEN', key.signals(run.id, name)), taken = 0 }
      apart(run).inboxes[name] = seen
    end
    return seen
  end

  -- Callbacks are bound to one wait each. Of a wait the run remembers 'w' once it has begun, 'a' once a callback has
  -- answered it, and of a callback that came before it what it brought: '+' and a value, or '-' and a story.
  function hop.note_call(run, position, what)
    local calls = apart(run).calls
    calls[#calls + 1] = position
    calls[#calls + 1] = what
    hop.opened(run, key.calls(run.id))
  end

  local function brought(now, run, what, successor, fail)
    answer(now, run, string.sub(what, 1, 1) == '+' and successor or fail, string.sub(what, 2))
  end

  local function wait(now, run, position, name, successor, timer, fail)
    check('HLEN', key.wait(run.id, position))
    local called = redis.call('HGET', key.calls(run.id), position)
    local early = called and called ~= 'w' and called ~= 'a'
    hop.note_call(run, position, early and 'a' or 'w')
    if early then return brought(now, run, called, successor, fail) end
    local box = inbox(run, name)
    if box.taken < box.kept then
      local input = redis.call('LINDEX', key.signals(run.id, name), box.taken)
      box.taken = box.taken + 1
      return answer(now, run, successor, input)
    end
    local waits = apart(run).waits
    waits[#waits + 1] = { position, name, { 'name', name, 'successor', cmsgpack.pack(successor), 'fail', cmsgpack.pack(fail) } }
    hop.opened(run, key.wait(run.id, position))
    hop.opened(run, key.waits(run.id, name))
    if timer then
      arrivals.send(now, run.id .. ':' .. position, 't', timer[3], run.tenant, timer[4], timer[5], timer[7], timer[6])
    end
  end

  -- Ends an open wait with what a callback brought.
  function hop.answer_call(now, run, position, name, what)
    local ways = redis.call('HMGET', key.wait(run.id, position), 'successor', 'fail')
    brought(now, run, what, cmsgpack.unpack(ways[1]), cmsgpack.unpack(ways[2]))
    hop.settle_wait(run, position, name)
  end

  -- Ends an open wait with a value.
  function hop.answer_wait(now, run, position, name, value)
    local successor = redis.call('HGET', key.wait(run.id, position), 'successor')
    answer(now, run, cmsgpack.unpack(successor), value)
    hop.settle_wait(run, position, name)
  end

  -- An answered wait is closed; its timer goes too where it is still asleep.
  function hop.settle_wait(run, position, name)
    hop.close_wait(run, position, name)
    local timer = run.id .. ':' .. position
    if redis.call('ZSCORE', key.delayed(), timer) then
      local _, _, _, _, _, _, queue = header_of(redis.call('HGET', key.messages(), timer) or '')
      if queue then
        apart(run).timer = timer
        arrivals.count(queue, 'delayed', -1)
      end
    end
  end

  function hop.close_wait(run, position, name)
    check('LLEN', key.waits(run.id, name))
    hop.closed(run, key.wait(run.id, position))
    apart(run).answered = apart(run).answered or {}
    table.insert(apart(run).answered, { name, position })
  end

  -- Child runs --------------------------------------------------------------------------------------

  local function child(now, run, position, id, pipeline, plan, edges, successor, fail)
    if not run.keep then hop.rest_of(run) end
    check('HLEN', key.wait(run.id, position))
    check('HLEN', key.run(id))
    check('SCARD', key.children(run.id))
    check('ZCARD', key.runs())
    local born = { id = id, name = key.run(id), tenant = run.tenant, keep = run.keep, pipeline = pipeline, state = 'running',
      parent = run.id .. ':' .. position, fields = { 'state', 'running', 'pipeline', pipeline, 'plan', plan, 'tenant', run.tenant,
      'started', now, 'keep', run.keep, 'parent', run.id .. ':' .. position } }
    hop.runs[id] = born
    apart(born).born = true
    table.insert(apart(run).children, id)
    table.insert(apart(run).waits, { position, false, { 'child', id, 'successor', cmsgpack.pack(successor), 'fail', cmsgpack.pack(fail) } })
    hop.opened(run, key.wait(run.id, position))
    if not run.children then
      run.children = '1'
      hop.note(run, 'children', 1)
      hop.opened(run, key.children(run.id))
    end
    tell('run.started run=' .. id .. ' pipeline=' .. pipeline .. ' tenant=' .. run.tenant .. ' parent=' .. run.id)
    hop.follow(now, born, edges)
  end

  local function tell_parent(now, run, result)
    local id, position = string.match(run.parent, '^(%x+):(.+)$')
    local parent = hop.run_seen(id, run.tenant)
    check('SCARD', key.children(id))
    table.insert(apart(parent).orphans, run.id)
    if parent.state ~= 'running' and parent.state ~= 'failed' then return end
    local waiting = redis.call('HMGET', key.wait(id, position), 'successor', 'fail')
    if not waiting[1] then return end
    if run.ended == 'completed' then
      answer(now, parent, cmsgpack.unpack(waiting[1]), result)
    else
      hop.send(now, parent, cmsgpack.unpack(waiting[2]))
    end
    hop.closed(parent, key.wait(id, position))
  end

  -- A run is held no more; what is closed in it stays so while it can be redriven. Returns the marks it had.
  local function let_go(run)
    local held = marks.of(run.id)
    if held == '' then return '' end
    local scopes = marks.scopes(held)
    marks.seen[run.id] = run.ended == 'failed' and not run.undone and scopes or ''
    apart(run).released = true
    if marks.paused(held) then hop.unpark(run) end
    return scopes
  end

  -- Whatever of a run has not begun is dropped when it would be fetched.
  local function sweep(run)
    check('ZCARD', key.cancelled())
    apart(run).sweep = true
  end

  -- What else an end means: for a parent, for children, for what was held.
  function hop.part(now, run, result)
    local scopes = let_go(run)
    if (scopes ~= '' and run.ended ~= 'failed') or run.ended == 'cancelled' then sweep(run) end
    if run.children and run.ended == 'cancelled' then cancel_children(now, run) end
    if run.parent then tell_parent(now, run, result) end
  end

  -- Pauses ------------------------------------------------------------------------------------------

  -- Messages of a paused run that were set aside go back to their places.
  function hop.unpark(run)
    check('ZCARD', key.delayed())
    check('HLEN', key.messages())
    local ids = redis.call('SMEMBERS', key.paused(run.id))
    local records = #ids > 0 and read_sliced('HMGET', key.messages(), ids) or {}
    for i = 1, #ids do
      local kind, _, stalls, _, order, _, queue, tenant = header_of(records[i] or '')
      if kind and redis.call('ZSCORE', key.delayed(), ids[i]) then
        table.insert(apart(run).unparked, ids[i])
        arrivals.count(queue, 'delayed', -1)
        if stalls ~= '-' then arrivals.suspect_at(queue, order, ids[i]) else arrivals.wait_at(queue, tenant, order, ids[i]) end
      end
    end
    hop.closed(run, key.paused(run.id))
  end

  -- Compensation ------------------------------------------------------------------------------------

  local function send_undo(now, run, e)
    arrivals.send(now, run.id .. ':' .. e[2], 'u', e[3], run.tenant, e[4], e[5], 0, e[6])
  end

  local function note_undone(run)
    run.undone = true
    hop.note(run, 'undone', 1)
    sweep(run)
  end

  -- What is done after a run has failed, or was cancelled with undo, is undone at once.
  local function push_undo(now, run, e)
    check('LLEN', key.undo(run.id))
    if run.state == 'failed' or run.state == 'cancelled' then
      if not hop.is_undone(run) then note_undone(run) end
      send_undo(now, run, e)
    elseif run.state ~= 'completed' then
      table.insert(apart(run).undos, cmsgpack.pack(e))
      hop.opened(run, key.undo(run.id))
    end
  end

  function hop.next_undo(now, run)
    local mine = apart(run)
    local packed = table.remove(mine.undos)
    if not packed then
      packed = redis.call('LINDEX', key.undo(run.id), -1 - mine.taken)
      if packed then mine.taken = mine.taken + 1 end
    end
    if packed then return send_undo(now, run, cmsgpack.unpack(packed)) end
    note_undone(run)
    hop.end_run(now, run, run.ends or redis.call('HGET', run.name, 'ends') or 'failed')
  end

  -- Only what undoes still counts in a run that is being undone.
  function hop.follow_undos(now, run, edges)
    for i = 1, #edges do
      if edges[i][1] == 'undo' then push_undo(now, run, edges[i]) end
    end
  end

  -- Whether there is anything to undo; if so it begins. A run that is cancelled so undoes what is still done later, too.
  function hop.undo(now, run, ends)
    if not run.keep then hop.rest_of(run) end
    if #apart(run).undos == 0 and redis.call('LLEN', key.undo(run.id)) == 0 then
      if ends == 'cancelled' then note_undone(run) end
      return false
    end
    run.state, run.ends = 'undoing', ends
    hop.note(run, 'state', 'undoing')
    hop.note(run, 'ends', ends)
    let_go(run)
    sweep(run)
    if run.children then cancel_children(now, run, true) end
    tell('run.undoing run=' .. run.id .. ' tenant=' .. (run.tenant or ''))
    hop.next_undo(now, run)
    return true
  end

  -- All of it, written ------------------------------------------------------------------------------

  function hop.draw_apart(now, run)
    local mine = run.apart
    for _, w in ipairs(mine.waits) do
      redis.call('HSET', key.wait(run.id, w[1]), unpack(w[3]))
      if w[2] then redis.call('RPUSH', key.waits(run.id, w[2]), w[1]) end
    end
    for _, w in ipairs(mine.answered or {}) do
      if w[1] then redis.call('LREM', key.waits(run.id, w[1]), 1, w[2]) end
    end
    call_sliced('HSET', key.calls(run.id), mine.calls)
    for name, box in pairs(mine.inboxes) do
      if box.taken > 0 then redis.call('LTRIM', key.signals(run.id, name), box.taken, -1) end
    end
    if mine.timer then
      redis.call('ZREM', key.delayed(), mine.timer)
      redis.call('HDEL', key.messages(), mine.timer)
    end
    if mine.taken > 0 then redis.call('LTRIM', key.undo(run.id), 0, -1 - mine.taken) end
    call_sliced('RPUSH', key.undo(run.id), mine.undos)
    call_sliced('SADD', key.children(run.id), mine.children)
    call_sliced('SREM', key.children(run.id), mine.orphans)
    call_sliced('ZREM', key.delayed(), mine.unparked)
    if mine.born then redis.call('ZADD', key.runs(), now, run.id) end
    if mine.scopes then call_sliced('SADD', key.scopes(run.id), mine.scopes) end
    if mine.scopes or mine.released then
      local held = marks.of(run.id)
      if held == '' then redis.call('HDEL', key.held(), run.id) else redis.call('HSET', key.held(), run.id, held) end
    end
    if mine.sweep then redis.call('ZADD', key.cancelled(), now, run.id) end
  end

  function hop.branch(now, run, e)
    local verb = e[1]
    if verb == 'wait' then
      wait(now, run, e[2], e[3], e[4], e[5], e[6])
    elseif verb == 'child' then
      child(now, run, unpack(e, 2, 8))
    elseif verb == 'undo' then
      push_undo(now, run, e)
    elseif verb == 'extend' then
      extend(now, run, e[2], e[3], e[4])
    end
  end
end

setmetatable(hop, { __index = function(_, name)
  setmetatable(hop, nil)
  learn_branches()
  return hop[name]
end })

-- A run that has failed: what it did is undone if it says how, and then it ends.
function hop.fail(now, run)
  if not hop.undo(now, run, 'failed') then hop.end_run(now, run, 'failed') end
end
