-- ARGV: sink; then member, token, version, episode for each delivery that its sink has. Answers a word for each: settled;
-- changed (its state moved on meanwhile: due again); lost (somebody else has claimed it since: nothing is touched).
local sink = ARGV[1]
local queue, attempts = kit.key('q:', sink), kit.key('a:', sink)
local history = kit.history(sink)
local now

-- The version that a sink would be told now, and when it may be told again; nil when nothing is there.
local function current(member)
  if #member == 32 then
    local record = kit.read(member)
    local view = record and kit.view(record)
    return view and view.version, 0
  end
  local storm = kit.storm(member)
  if storm then return storm.version, storm.announced + storm.flush end
end

local reply = {}
for at = 2, #ARGV, 4 do
  local member, token, version = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local score = redis.call('ZSCORE', queue, member)
  if not score or tonumber(score) ~= token then
    reply[#reply + 1] = 'lost'
  else
    local found, from = current(member)
    redis.call('HDEL', attempts, member)
    if history and ARGV[at + 3] ~= '0' then redis.call('HSET', history, member, ARGV[at + 3]) end
    if found and found ~= version then
      now = now or kit.now()
      redis.call('ZADD', queue, 'XX', math.max(now, from), member)
      reply[#reply + 1] = 'changed'
    else
      redis.call('ZREM', queue, member)
      if #member == 32 and not kit.queued(member) then redis.call('DEL', kit.key('d:', member)) end
      reply[#reply + 1] = 'settled'
    end
  end
end
return reply
