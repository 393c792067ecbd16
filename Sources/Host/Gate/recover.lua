-- Makes members due, in all queues, that are in flight at sessions that are over. ARGV: how many members of a call. Answers how many it was.
-- It goes by the queues: the deliveries of a session come back also when the store has lost the session.
local most, now, freed = tonumber(ARGV[1]), kit.time(), 0
local sessions, lives = redis.call('HGETALL', kit.key('sessions')), {}
for at = 1, #sessions, 2 do lives[sessions[at]] = true end

local function recover(sink)
  local queue, from = kit.key('q:', sink), '-inf'
  while freed < most do
    local first = redis.call('ZRANGEBYSCORE', queue, from, '(0', 'WITHSCORES', 'LIMIT', 0, 1)
    if #first == 0 then return end
    local session = kit.session_of(tonumber(first[2]))
    local upto = kit.text(kit.in_flight(session, 0))
    if not lives[kit.text(session)] then
      local words = {}
      for _, member in ipairs(redis.call('ZRANGEBYSCORE', queue, first[2], upto, 'LIMIT', 0, most - freed)) do
        kit.asked(sink, member, 0, 1)
        words[#words + 1], words[#words + 2] = now, member
      end
      redis.call('ZADD', queue, 'XX', unpack(words))
      freed = freed + #words / 2
    else
      from = upto
    end
  end
end
for _, sink in ipairs(redis.call('SMEMBERS', kit.key('queues'))) do recover(sink) end
return freed
