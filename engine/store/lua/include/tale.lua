-- tale: facts in the past tense, appended to the event stream in the script that made them true.
-- One entry of the stream holds up to eight facts, a line each: `name field=value field=value ...`.
-- needs: check
local EVENTS_KEPT = '{events_kept}' -- written in when the script is loaded: about so many entries
local FACTS_AN_ENTRY = 8
local facts = {}

local function tell(fact)
  check('XLEN', key.events())
  facts[#facts + 1] = fact
end

local function publish()
  for first = 1, #facts, FACTS_AN_ENTRY do
    local last = math.min(first + FACTS_AN_ENTRY - 1, #facts)
    redis.call('XADD', key.events(), 'MAXLEN', '~', EVENTS_KEPT, '*', 'facts', table.concat(facts, '\n', first, last))
  end
end
