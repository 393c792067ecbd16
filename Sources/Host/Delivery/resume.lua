-- A sink takes deliveries again: members in back-off become due, a part of the queue with each call. ARGV: sink; the score to go on
-- from, '' at first; most; over how many ms they become due. Answers the score to go on from, '' when the rest of the queue was seen.
local queue, from, most, spread = kit.key('q:', ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = kit.time()
if from == '' then from = kit.text(now + spread) end
local found = redis.call('ZRANGEBYSCORE', queue, from, '+inf', 'WITHSCORES', 'LIMIT', 0, most)

-- A storm is told again when its flush interval is over.
local function earliest(member)
  local storm = #member ~= 32 and kit.storm(member)
  return storm and storm.announced + storm.flush or 0
end

local early = {}
for at = 1, #found, 2 do
  local member, score = found[at], tonumber(found[at + 1])
  local ok, soonest = pcall(earliest, member)
  local due = math.max(now + math.floor(spread * at / #found), ok and soonest or 0)
  if due < score then early[#early + 1], early[#early + 2] = due, member end
end
if #early > 0 then redis.call('ZADD', queue, 'XX', unpack(early)) end
if #found < most * 2 then return '' end
-- From the last score on, unless all of these have it: they are the members of one claim.
local last = found[#found]
return last == from and '(' .. last or last
