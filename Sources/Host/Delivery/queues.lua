-- Gives all that waits for a sink to another one, or forgets it. ARGV: the sink, the other ('' to forget). Answers how
-- much it was. One step: what is queued meanwhile is in one of the two queues, never in neither.
local sink, other = ARGV[1], ARGV[2]
if sink == other then return 0 end
local queue, attempts = kit.key('q:', sink), kit.key('a:', sink)
local depth = redis.call('ZCARD', queue)
if other ~= '' then
  -- What is in both is due at the earlier time; a claim that is lost by that is delivered once more.
  local into = kit.key('q:', other)
  local own = redis.call('ZRANGE', queue, 0, -1, 'WITHSCORES')
  for from = 1, #own, 1000 do
    local names = {}
    for at = from, math.min(from + 998, #own - 1), 2 do names[#names + 1] = own[at] end
    for place, score in ipairs(redis.call('ZMSCORE', into, unpack(names))) do
      local there, here = score and tonumber(score), tonumber(own[from + place * 2 - 1])
      -- Of the two places one is lost, and with it what it alone says: that it was handed over.
      if there and kit.call_of(math.max(there, here)) then kit.tried(other, names[place], 1) end
    end
  end
  redis.call('ZUNIONSTORE', into, 2, into, queue, 'AGGREGATE', 'MIN')
  -- A sink by a new name may have some of it: what was handed over once is no first attempt there either.
  local tried = redis.call('HGETALL', attempts)
  for at = 1, #tried, 2 do kit.tried(other, tried[at], 1) end
  local skipped = redis.call('HGETALL', kit.key('u:', sink))
  for at = 1, #skipped, 2 do
    if not redis.call('HGET', kit.key('u:', other), skipped[at]) then
      redis.call('HSET', kit.key('u:', other), skipped[at], skipped[at + 1])
    end
  end
  redis.call('SADD', kit.key('queues'), other)
end
redis.call('UNLINK', queue, attempts, kit.key('t:', sink), kit.key('u:', sink))
redis.call('SREM', kit.key('queues'), sink)
return depth
