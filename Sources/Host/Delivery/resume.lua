-- A sink takes deliveries again: members in back-off become due, a part of the queue with each call. ARGV: sink; the place to go on
-- from, '' at first; most; over how many ms they become due. Answers the place to go on from, '' when the rest of the queue was seen: a
-- score, and how many members of it were seen and still have it.
local queue, most, spread = kit.key('q:', ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = kit.time()
local from, seen = string.match(ARGV[2], '^(%S+) (%d+)$')
if not from then from, seen = kit.text(now + spread), '0' end
local found = redis.call('ZRANGEBYSCORE', queue, from, '+inf', 'WITHSCORES', 'LIMIT', seen, most)

-- A storm is told again when its flush interval is over.
local function earliest(member)
  local storm = #member ~= 32 and kit.storm(member)
  return storm and storm.announced + storm.flush or 0
end

local last = found[#found]
local early, left = {}, last == from and tonumber(seen) or 0
for at = 1, #found, 2 do
  local member, score = found[at], tonumber(found[at + 1])
  local ok, soonest = pcall(earliest, member)
  local due = math.max(now + math.floor(spread * at / #found), ok and soonest or 0)
  local moves = due < score
  if moves then early[#early + 1], early[#early + 2] = due, member end
  if not moves and found[at + 1] == last then left = left + 1 end
end
if #early > 0 then redis.call('ZADD', queue, 'XX', unpack(early)) end
if #found < most * 2 then return '' end
return last .. ' ' .. kit.text(left)
