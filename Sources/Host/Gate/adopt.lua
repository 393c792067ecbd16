-- A host comes to a store that may not have its deliveries in flight: those that wait there are in flight at its session again. ARGV: number and
-- token of the session; then sink, member, call of each delivery. Answers how many it was; -1 when the session is not in the store.
local session = tonumber(ARGV[1])
if not kit.lives(session, ARGV[2]) then return -1 end
local adopted = 0
for at = 3, #ARGV, 3 do
  local queue = kit.key('q:', ARGV[at])
  local score = tonumber(redis.call('ZSCORE', queue, ARGV[at + 1]) or '')
  if score and score >= 0 then
    redis.call('ZADD', queue, 'XX', kit.in_flight(session, tonumber(ARGV[at + 2])), ARGV[at + 1])
    adopted = adopted + 1
  end
end
return adopted
