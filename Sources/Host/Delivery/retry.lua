-- ARGV: sink; then member, token, back-off in ms, and whether it used up an attempt (1) of each. Answers for each 1; 0 when its
-- claim was lost.
local queue, members = kit.key('q:', ARGV[1]), {}
for at = 2, #ARGV, 4 do members[#members + 1] = ARGV[at] end
local scores = redis.call('ZMSCORE', queue, unpack(members))
local now, back, reply = kit.time(), {}, {}
for place, member in ipairs(members) do
  local token, delay, used = unpack(ARGV, place * 4 - 1, place * 4 + 1)
  local score = tonumber(scores[place] or '')
  reply[place] = score and score == tonumber(token) and 1 or 0
  if reply[place] == 1 then
    -- One that was handed over is counted now, one that was claimed is counted already. A failure of the whole sink counts no
    -- more than once: that a sink was asked before must stay known, because it may have done a part.
    local more = (kit.call_of(score) and 1 or 0) - (used == '1' and 0 or 1)
    if more ~= 0 or used ~= '1' then kit.tried(ARGV[1], member, more, 1) end
    back[#back + 1], back[#back + 2] = now + tonumber(delay), member
  end
end
if #back > 0 then redis.call('ZADD', queue, 'XX', unpack(back)) end
return reply
