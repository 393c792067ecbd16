-- Takes a session, or keeps one. ARGV: its number, '0' for a new one; its token; 1 when no other host uses the store, so that all
-- other sessions are over; the highest version of the schema that its program reads. Answers the number; 0 when that session was ended, or another host has its number.
local sessions, number, token = kit.key('sessions'), tonumber(ARGV[1]), ARGV[2]
local last = tonumber(redis.call('HGET', sessions, 'last') or '0') or 0
if ARGV[3] == '1' then redis.call('DEL', sessions) end
if number == 0 then
  number = last
  repeat number = number + 1 until not redis.call('HGET', sessions, number)
elseif kit.lives(number, token) then
  return number
elseif redis.call('HGET', sessions, number) or redis.call('EXISTS', kit.key('ended:', number)) == 1 then
  return 0
end
-- A store that was restored may know a lower one.
redis.call('HSET', sessions, 'last', max(last, number), number, token .. '0', kit.text(number) .. ' reads', ARGV[4])
return number
