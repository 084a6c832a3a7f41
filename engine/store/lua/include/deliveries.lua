-- deliveries: a message as a fetch hands it out, with what it refers to: a join's results, an each's item.
-- needs: record, slices
local function inputs_of(id, kind, record)
  if kind == 'j' then
    local join = key.join(run_of(id), join_of(record) or '')
    local members = redis.pcall('HGET', join, 'members')
    if type(members) ~= 'string' then return nil end
    local fields = {}
    for i = 1, tonumber(members) or 0 do fields[i] = i - 1 end
    return #fields > 0 and read_sliced('HMGET', join, fields) or nil
  end
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
