-- record: a message as the store keeps it: one header line, then the body as it came.
--   kind      s stage | j stage fed by a join | e stage fed by an item of an each | t timer of a wait |
--             u stage that undoes another | d plain Dramatiq
--   attempt   tries so far, this one included once it is leased
--   stalls    '-' never suspected, else proven deaths of a process that ran it alone
--   allowed   proven deaths that are forgiven
--   order     place in the queue, higher is sooner; kept over retries and returns
--   due       when it became, or becomes, runnable (ms)
local BAND = 1e13 -- places in one priority; the highest place stays below 1e14

local function record_of(kind, attempt, stalls, allowed, order, due, queue, tenant, body)
  -- Numbers below 1e14 become all their digits.
  return kind .. ' ' .. attempt .. ' ' .. stalls .. ' ' .. allowed .. ' ' .. order .. ' ' .. due .. ' ' .. queue .. ' ' ..
    tenant .. '\n' .. body
end

local function header_of(record)
  local kind, attempt, stalls, allowed, order, due, queue, tenant, at =
    string.match(record, '^(%l) (%d+) (%S+) (%d+) (%d+) (%d+) (%S+) (%S+)\n()')
  return kind, tonumber(attempt), stalls, tonumber(allowed), tonumber(order), tonumber(due), queue, tenant, at
end

-- A lease is its token, marked '!' when the message runs alone. The tail makes Redis keep leases as a table:
-- in the short form of a small hash, looking them up would cost as much as a hop.
local LEASE_TAIL = ' ' .. string.rep('.', 64)

local function lease_of(token, alone)
  return token .. (alone and '!' or '') .. LEASE_TAIL
end

local function token_of(lease)
  local token, alone = string.match(lease, '^(%d+)(!?)')
  return token, alone == '!'
end

-- The body of a message fed by a join begins with a line that names the join.
local function join_of(record)
  return string.match(record, '^[^\n]*\n([^\n]*)\n')
end

local function run_of(message) return string.sub(message, 1, 32) end
local function position_of(message) return string.sub(message, 34) end
