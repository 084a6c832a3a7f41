-- clock: the server's time, the only one that decides.
local function clock_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The same as text, for what mostly writes it: turning numbers into text costs more than cutting text.
local function clock_text()
  local t = redis.call('TIME')
  return tostring((t[1] .. string.sub('00000' .. t[2], -6, -4)))
end
