-- Makes members due that are in flight at a session and that its host does not deliver. ARGV: sink, number of the session; then member and call of
-- each. Answers how many became due. A member in flight by another call, or not any more, stays as it is.
local sink, session, words, now = ARGV[1], tonumber(ARGV[2]), {}, kit.time()
local queue = kit.key('q:', sink)
for at = 3, #ARGV, 2 do
  local score = redis.call('ZSCORE', queue, ARGV[at])
  if score and tonumber(score) == kit.in_flight(session, tonumber(ARGV[at + 1])) then
    kit.asked(sink, ARGV[at], 0)
    words[#words + 1], words[#words + 2] = now, ARGV[at]
  end
end
if #words > 0 then redis.call('ZADD', queue, 'XX', unpack(words)) end
return #words / 2
