-- The members in flight at a session. ARGV: sink, number and token of the session, how many at most. Answers member
-- and call of each; -1 when the session is not in the store.
local session = tonumber(ARGV[2])
if not kit.lives(session, ARGV[3]) then return -1 end
local found = redis.call('ZRANGEBYSCORE', kit.key('q:', ARGV[1]), kit.text(kit.in_flight(session + 1, 0)),
  kit.text(kit.in_flight(session, 0)), 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[4]))
local reply = {}
for at = 1, #found, 2 do
  reply[at], reply[at + 1] = found[at], -tonumber(found[at + 1]) + kit.in_flight(session, 0)
end
return reply
