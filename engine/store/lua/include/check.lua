-- check: reads that fail while nothing has been written yet. A key of the wrong type ends the script here.
local checked = {}

local function check(command, name)
  if not checked[name] then
    redis.call(command, name)
    checked[name] = true
  end
end
