-- graves: messages that will not be tried again, kept with their whole story.
-- needs: record, arrivals
local graves = {}
graves.burials = {}

-- Gathers a burial; `record` may be false when the message itself is gone.
function graves.bury(message, record, queue, tenant, reason, story)
  check('HLEN', key.letter(message))
  check('ZCARD', key.dead(queue))
  graves.burials[#graves.burials + 1] = { message, record or '', queue, tenant, reason, story or '' }
  arrivals.count(queue, 'dead', 1)
end

function graves.dig(now)
  for i = 1, #graves.burials do
    local message, record, queue, tenant, reason, story = unpack(graves.burials[i])
    redis.call('HSET', key.letter(message), 'queue', queue, 'tenant', tenant, 'reason', reason,
      'story', story, 'record', record, 'died_at', now)
    redis.call('ZADD', key.dead(queue), now, message)
  end
end
