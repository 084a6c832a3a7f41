-- slices: calls with many arguments, cut so that unpack never meets the Lua stack's limit.
local SLICE = 1000

local function call_sliced(command, name, list)
  for first = 1, #list, SLICE do
    redis.call(command, name, unpack(list, first, math.min(first + SLICE - 1, #list)))
  end
end

local function read_sliced(command, name, list)
  if #list <= SLICE then return redis.call(command, name, unpack(list)) end
  local found = {}
  for first = 1, #list, SLICE do
    local part = redis.call(command, name, unpack(list, first, math.min(first + SLICE - 1, #list)))
    for i = 1, #part do found[first + i - 1] = part[i] end
  end
  return found
end
