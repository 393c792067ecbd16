-- Gives all that waits for a sink to another one, or forgets it. ARGV: the sink, the other ('' to forget). Answers how
-- much it was. One step: what is queued meanwhile is in one of the two queues, never in neither.
local sink, other = ARGV[1], ARGV[2]
if sink == other then return 0 end
local queue, attempts = kit.key('q:', sink), kit.key('a:', sink)
local depth = redis.call('ZCARD', queue)
if other ~= '' then
  -- A member in flight here is due there, and its acknowledgement here is fenced.
  local into = kit.key('q:', other)
  local flying, now = redis.call('ZRANGEBYSCORE', queue, '-inf', '(0'), kit.time()
  for from = 1, #flying, 1000 do
    local words = {}
    for at = from, math.min(from + 999, #flying) do
      kit.asked(sink, flying[at], 0)
      words[#words + 1], words[#words + 2] = now, flying[at]
    end
    redis.call('ZADD', queue, 'XX', unpack(words))
  end
  -- A member of both queues is due at the earlier time, or in flight there.
  redis.call('ZUNIONSTORE', into, 2, into, queue, 'AGGREGATE', 'MIN')
  -- A sink by a new name may have some of it: no attempt there is the first.
  local tried = redis.call('HGETALL', attempts)
  for at = 1, #tried, 2 do kit.asked(other, tried[at], 0) end
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
