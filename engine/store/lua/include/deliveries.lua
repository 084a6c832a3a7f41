-- deliveries: a message as a fetch hands it out, with what it refers to: a join's results, an each's item.
-- needs: record, slices

-- Results of joins go with the reply as long as they are few; the rest the process reads by itself, slice by slice.
local RESULTS_AT_MOST = 1000
local results = 0

local function results_of(id, record)
  local join = key.join(run_of(id), join_of(record) or '')
  local members = redis.pcall('HGET', join, 'members')
  members = type(members) == 'string' and tonumber(members) or 0
  if members < 1 then return nil end
  if results + members > RESULTS_AT_MOST then return members end
  results = results + members
  local fields = {}
  for i = 1, members do fields[i] = i - 1 end
  return read_sliced('HMGET', join, fields)
end

local function inputs_of(id, kind, record)
  if kind == 'j' then return results_of(id, record) end
  local each, item = string.match(position_of(id), '^(.*)%.(%d+)$')
  if not each then return nil end
  local found = redis.pcall('HMGET', key.each(run_of(id), each), 'body', item)
  if found.err or not found[1] or not found[2] then return nil end
  return found
end

local function delivery(id, token, record)
  local kind = string.sub(record, 1, 1)
  local inputs = false
  if kind == 'j' or kind == 'e' then inputs = inputs_of(id, kind, record) or false end
  return { id, token, record, inputs }
end
