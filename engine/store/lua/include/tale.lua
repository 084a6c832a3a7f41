-- tale: facts in the past tense, appended to the event stream in the script that made them true.
-- One entry of the stream holds up to eight facts, a line each: `name field=value field=value ...`.
local EVENTS_KEPT = {events_kept} -- written in when the script is loaded: about so many entries
local TRIMMED_BEHIND = 100 -- entries: it trims by whole nodes of the stream, so that less would find nothing
local FACTS_AN_ENTRY = 8
local facts = {}
local told_before = nil -- entries that the stream had

local function tell(fact)
  if not told_before then told_before = redis.call('XLEN', key.events()) end
  facts[#facts + 1] = fact
end

local function publish()
  for first = 1, #facts, FACTS_AN_ENTRY do
    local last = math.min(first + FACTS_AN_ENTRY - 1, #facts)
    redis.call('XADD', key.events(), '*', 'facts', table.concat(facts, '\n', first, last))
  end
  if told_before and told_before > EVENTS_KEPT + TRIMMED_BEHIND then
    redis.call('XTRIM', key.events(), 'MAXLEN', '~', EVENTS_KEPT)
  end
end
