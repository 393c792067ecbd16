-- ARGV: origin ('' for all), most. Answers the total, then id, origin, reason, count, first, last of each, newest first.
local origins = ARGV[1] == '' and redis.call('SMEMBERS', kit.key('dead')) or {ARGV[1]}
local most, total, found = tonumber(ARGV[2]), 0, {}
for _, origin in ipairs(origins) do
  local key = kit.key('dead:', origin)
  total = total + redis.call('ZCARD', key)
  local ids = redis.call('ZREVRANGE', key, 0, most - 1, 'WITHSCORES')
  for at = 1, #ids, 2 do found[#found + 1] = {ids[at], tonumber(ids[at + 1])} end
end
table.sort(found, function(a, b) return a[2] > b[2] end)
local reply = {total}
for place = 1, math.min(most, #found) do
  local id = found[place][1]
  local h = redis.call('HMGET', kit.key('l:', id), 'origin', 'reason', 'count', 'first', 'last')
  if h[1] then reply[#reply + 1] = {id, h[1], h[2], h[3], h[4], h[5]} end
end
return reply
