-- Ends a session. ARGV: its number, and its token with the counter that was seen last; the token alone by the host itself.
-- Answers 1; 0 when it is another one by now, or has had a heartbeat since.
local sessions, number, seen = kit.key('sessions'), ARGV[1], ARGV[2]
local found = redis.call('HGET', sessions, number)
if not found or (found ~= seen and sub(found, 1, 16) ~= seen) then return 0 end
redis.call('HDEL', sessions, number, number .. ' reads')
-- Its host may come back: it must not register the session again, for other hosts deliver its members by then.
redis.call('SET', kit.key('ended:', number), found, 'PX', 86400000)
return 1
