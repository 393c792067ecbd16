-- ARGV: sink, number and token of the session; then member, call, back-off in ms, whether it used up an attempt (1), version, episode,
-- state (1 firing, 2 resolved, 0 a storm's) of each failed delivery.
-- Answers for each 1; 2 when its state has moved on, so that it is due at once; 0 when it is not in flight by that call any more. Answers
-- nothing when the session is not in the store.
local sink, session, STRIDE = ARGV[1], tonumber(ARGV[2]), 7
if not kit.lives(session, ARGV[3]) then return {} end
local queue, members, fingerprints = kit.key('q:', sink), {}, {}
for at = 4, #ARGV, STRIDE do
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
  local at, score = place * STRIDE - STRIDE + 4, tonumber(scores[place] or '')
  reply[place] = 0
  if score and score == kit.in_flight(session, tonumber(ARGV[at + 1])) then
    -- What can't be read any more waits for its back-off, and the next claim finds out.
    local ok, changed, from = pcall(moved, member, at)
    back[#back + 1], back[#back + 2] = now + tonumber(ARGV[at + 2]), member
    reply[place] = 1
    if ok and changed then
      back[#back - 1], reply[place] = math.max(now, from), 2
      anew[#anew + 1], anew[#anew + 2] = member, 1
    else
      -- A failure of the whole sink uses up no attempt, but that the sink was asked stays known: it may have done a part.
      kit.asked(sink, member, ARGV[at + 3] == '1' and 1 or 0)
    end
  end
end
if #back > 0 then redis.call('ZADD', queue, 'XX', unpack(back)) end
-- The new state has all its attempts; its sink may have something of the problem, so that the next one is no first.
if #anew > 0 then redis.call('HSET', kit.key('a:', sink), unpack(anew)) end
return reply
