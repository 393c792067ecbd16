-- A host's heartbeat. ARGV: the host's name, '' when no other uses the store; for how many ms it counts as alive; the birth of the
-- store that it verified; the number and the token of its session. Answers whether the session is in the store (1), the names of the
-- living hosts, and of all sessions the number and the token with its counter.
if redis.call('GET', kit.key('born')) ~= ARGV[3] then
  return redis.error_reply('EMPTIED this is not the store that was verified')
end
local sessions, number, token = kit.key('sessions'), tonumber(ARGV[4]), ARGV[5]
local lives = kit.lives(number, token)
if lives then
  local count = tonumber(sub(redis.call('HGET', sessions, number), 17)) or 0
  redis.call('HSET', sessions, number, token .. kit.text(count + 1))
end
return {lives and 1 or 0, ARGV[1] ~= '' and kit.register(ARGV[1], ARGV[2]) or {}, redis.call('HGETALL', sessions)}
