-- In every script: at which host a member is in flight, and how often its sink was asked.

-- Sessions --------------------------------------------------------------------------------------------------------

-- The score of a member that waits is the time in ms from which on it is due. The score of a member in flight is
-- `-(session * CALLS + call)`: the number of the host session that delivers it, and of the claim, or call of the gate, that put it
-- in flight. So a member is in one place, and each call has its own fence. `HostSession.swift` has the same.
local CALLS = 268435456

function kit.in_flight(session, call) return -(session * CALLS + call) end

-- The session of a score below 0.
function kit.session_of(score) return floor(-score / CALLS) end

-- `sessions` has for each session, by number, its token (16 characters) and its heartbeat counter, and as `<number> reads` the
-- highest version of the schema that its program reads; and the highest number, `last`.
function kit.lives(session, token)
  local found = redis.call('HGET', base .. 'sessions', kit.text(session))
  return found and sub(found, 1, 16) == token
end

-- Attempts --------------------------------------------------------------------------------------------------------

-- `a:<sink>` has members whose sink was asked and has not acknowledged: "failed ended", how many deliveries failed, and how many
-- sessions ended with one in flight. A value that these scripts did not write says no more than that it was asked.
function kit.attempts(value)
  if not value then return 0, 0 end
  local failed, ended = string.match(value, '^(%d+) ?(%d*)$')
  if not failed or #failed > 6 or #ended > 6 then return 1, 0 end
  return tonumber(failed), tonumber(ended) or 0
end

-- Counts so many more; the sink was asked at least once, or may have been.
function kit.asked(sink, member, failures, ends)
  local key = base .. 'a:' .. sink
  local failed, ended = kit.attempts(redis.call('HGET', key, member))
  failed, ended = failed + failures, ended + (ends or 0)
  if failed + ended == 0 then failed = 1 end
  redis.call('HSET', key, member, ended > 0 and failed .. ' ' .. ended or failed)
end
