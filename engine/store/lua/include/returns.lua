-- returns: leases of a process that died go back to their place, as suspects.
-- needs: record, arrivals, graves, leases, tale
local returned = {}

-- Gathers the return of one lease. Guilt is proven if the process died while it ran this message alone.
local function give_back(id, held, record)
  returned[#returned + 1] = id
  if not record then return end
  local kind, attempt, stalls, allowed, order, due, queue, tenant, at = header_of(record)
  if not kind then
    graves.bury(id, record, 'unknown', 'default', 'undecodable')
    return { id = id, queue = 'unknown', tenant = 'default', kind = 'd', attempt = 0, reason = 'undecodable' }
  end
  leases.free(queue, tenant)
  local proven = tonumber(stalls) or 0
  local _, ran_alone = token_of(held)
  if ran_alone then proven = proven + 1 end
  if proven > allowed then
    graves.bury(id, record, queue, tenant, 'stalled')
    return { id = id, queue = queue, tenant = tenant, kind = kind, attempt = attempt, reason = 'stalled' }
  end
  arrivals.fresh[#arrivals.fresh + 1] = id
  arrivals.fresh[#arrivals.fresh + 1] = record_of(kind, attempt, proven, allowed, order, due, queue, tenant, string.sub(record, at))
  arrivals.suspect_at(queue, order, id)
  tell('message.returned message=' .. id .. ' queue=' .. queue .. ' tenant=' .. tenant)
end
