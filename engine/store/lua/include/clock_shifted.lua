-- clock_shifted: stands in for `clock` in the test build alone; a test moves the hour hand.
local function clock_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000) + (tonumber(redis.call('GET', KEYS[1] .. 'clock')) or 0)
end

local function clock_text()
  local t = redis.call('TIME')
  return tostring((t[1] .. string.sub('00000' .. t[2], -6, -4)) + (tonumber(redis.call('GET', KEYS[1] .. 'clock')) or 0))
end
