-- What there is, for metrics and `status`. Nothing here grows with what is stored but the number of queues and origins.
local now = kit.time()

local function version(member)
  if #member == 32 then
    local record = kit.read(member)
    local view = record and kit.view(record)
    return view and view.version
  end
  local storm = kit.storm(member)
  return storm and storm.version
end

local queues = {}
for _, name in ipairs(redis.call('SMEMBERS', kit.key('queues'))) do
  local key, oldest = kit.key('q:', name), now
  -- Scores say when a member is due, not since when. The oldest is among those that are due first, or, where a sink does
  -- not answer, among those that wait longest for their next attempt, or are in flight: the oldest of these is near enough.
  for _, ends in ipairs({redis.call('ZRANGE', key, 0, 9), redis.call('ZRANGEBYSCORE', key, 0, '+inf', 'LIMIT', 0, 10),
    redis.call('ZREVRANGE', key, 0, 9)}) do
    for _, member in ipairs(ends) do
      local ok, since = pcall(version, member)
      since = ok and since and math.floor(since / 1000)
      if ok and since and since < oldest then oldest = since end
    end
  end
  queues[#queues + 1] = {name, redis.call('ZCARD', key), now - oldest}
end
local dead = {}
for _, origin in ipairs(redis.call('SMEMBERS', kit.key('dead'))) do
  local bytes = tonumber(redis.call('HGET', kit.key('dead-bytes'), origin) or '0') or 0
  dead[#dead + 1] = {origin, redis.call('ZCARD', kit.key('dead:', origin)), bytes}
end
return {now, queues, dead, redis.call('ZCOUNT', kit.key('storms'), '-inf', string.format('%.0f', kit.FAR - 1)),
  redis.call('HGETALL', kit.key('counters'))}
