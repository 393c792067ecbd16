-- ARGV: sink; then member, token, back-off in ms of each. Answers for each 1; 0 when its claim was lost.
local queue, members = kit.key('q:', ARGV[1]), {}
for at = 2, #ARGV, 3 do members[#members + 1] = ARGV[at] end
local scores = redis.call('ZMSCORE', queue, unpack(members))
local now, back, reply = kit.time(), {}, {}
for place, member in ipairs(members) do
  local score = tonumber(scores[place] or '')
  reply[place] = score and score == tonumber(ARGV[place * 3]) and 1 or 0
  if reply[place] == 1 then
    -- One that was handed over is counted now.
    if kit.call_of(score) then kit.tried(ARGV[1], member, 1) end
    back[#back + 1], back[#back + 2] = now + tonumber(ARGV[place * 3 + 1]), member
  end
end
if #back > 0 then redis.call('ZADD', queue, 'XX', unpack(back)) end
return reply
