-- ARGV: sink; then member, token, back-off in ms, whether it used up an attempt (1), version, episode, state (1 firing, 2 resolved, 0 a
-- storm's) of each failed delivery.
-- Answers for each 1; 2 when its state has moved on, so that it is due at once; 0 when its claim was lost.
local sink, STRIDE = ARGV[1], 7
local queue, members, fingerprints = kit.key('q:', sink), {}, {}
for at = 2, #ARGV, STRIDE do
  members[#members + 1] = ARGV[at]
  if #ARGV[at] == 32 then fingerprints[#fingerprints + 1] = ARGV[at] end
end
kit.read_ahead(fingerprints)

-- Whether the state that failed is not the one that the sink would be told of now, and from when on. A grown count is no change.
local space = {}
local function moved(member, at)
  local version, from, episode, state = kit.current(member, space)
  if not version or version == tonumber(ARGV[at + 4]) then return false end
  return not episode or episode ~= tonumber(ARGV[at + 5]) or state ~= tonumber(ARGV[at + 6]), from
end

local scores = redis.call('ZMSCORE', queue, unpack(members))
local now, back, anew, reply = kit.time(), {}, {}, {}
for place, member in ipairs(members) do
  local at, score = place * STRIDE - STRIDE + 2, tonumber(scores[place] or '')
  reply[place] = 0
  if score and score == tonumber(ARGV[at + 1]) then
    -- What can't be read any more waits for its back-off, and the next claim finds out.
    local ok, changed, from = pcall(moved, member, at)
    back[#back + 1], back[#back + 2] = now + tonumber(ARGV[at + 2]), member
    reply[place] = 1
    if ok and changed then
      back[#back - 1], reply[place] = math.max(now, from), 2
      anew[#anew + 1], anew[#anew + 2] = member, 1
    else
      -- One that was handed over is counted now, one that was claimed is counted already. A failure of the whole sink counts no
      -- more than once: that a sink was asked before must stay known, because it may have done a part.
      local used = ARGV[at + 3] == '1'
      local more = (kit.call_of(score) and 1 or 0) - (used and 0 or 1)
      if more ~= 0 or not used then kit.tried(sink, member, more, 1) end
    end
  end
end
if #back > 0 then redis.call('ZADD', queue, 'XX', unpack(back)) end
-- The new state has all its attempts; its sink may have something of the problem, so that the next one is no first.
if #anew > 0 then redis.call('HSET', kit.key('a:', sink), unpack(anew)) end
return reply
