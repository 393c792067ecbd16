-- Takes due members of a sink's queue for `lease` ms. ARGV: sink, most, lease. The new score is the token: whoever
-- acknowledges with another one has lost the claim. What the sink is to be told comes in the same answer, and the
-- record of a problem that has an object of its own, which the host keeps as it does what it answers. A fourth word says since
-- when the store knows what it knows: a host that has nothing to ask the gate finds out by this that it was emptied.
local sink, most, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local since = redis.call('GET', kit.key('born'))
if ARGV[4] and since ~= ARGV[4] then return redis.error_reply('EMPTIED this is not the store that was verified') end
local queue, attempts = kit.key('q:', sink), kit.key('a:', sink)
local due = redis.call('ZRANGEBYSCORE', queue, '-inf', string.format('%.0f', kit.now()), 'LIMIT', 0, most)
if #due == 0 then return {} end
local first = kit.take(#due)

local history = kit.history(sink)
-- Not written yet: emptied a moment ago.
local born = tonumber(since or '') or first
local function told(member, episode)
  return history and redis.call('HGET', history, member) == string.format('%.0f', episode) and 1 or 0
end

local function signal(member)
  local record = kit.read(member)
  local view = record and kit.view(record)
  if not view then return nil end
  return {'signal', view.state == kit.FIRING and 'firing' or 'resolved', view.reason, view.count, view.episode,
    view.version, view.last, view.follows, told(member, view.episode), born, redis.call('GET', kit.key('d:', member))},
    not record.storm and record.packed or ''
end

local function storm(member, now)
  local found = kit.storm(member)
  if not found then return nil end
  local more = redis.call('HMGET', kit.key('s:', member), 'group', 'listed')
  local listed = redis.call('ZRANGE', kit.key('m:', member), 0, (tonumber(more[2]) or 1) - 1, 'WITHSCORES')
  local names = {}
  for at = 1, #listed, 2 do names[#names + 1] = listed[at] end
  local summaries = #names > 0 and redis.call('HMGET', kit.key('n:', member), unpack(names)) or {}
  redis.call('HSET', kit.key('s:', member), 'announced', now)
  return {'storm', found.state, found.total, found.firing, found.opened, found.version, found.last, more[1], listed,
    summaries, told(member, found.opened), born}
end

-- Bytes of documents in one answer, about: what is over is left as it is, and claimed by the next call.
local MOST = 8388608
local reply, sent = {}, 0
for place, member in ipairs(due) do
  if sent > MOST then break end
  local now = first + place - 1
  local ok, found, packed = pcall(#member == 32 and signal or storm, member, now)
  if not ok then
    -- What can't be read is not dropped: a person may still mend it.
    redis.call('ZADD', queue, 'XX', now + 60000, member)
    reply[#reply + 1] = {member, 0, 0, {'fault', (kit.caught(found))}, ''}
  elseif not found then
    redis.call('ZREM', queue, member)
    redis.call('HDEL', attempts, member)
    -- Without its record no sweep would find it.
    if #member == 32 and not kit.queued(member) then redis.call('DEL', kit.key('d:', member)) end
  else
    redis.call('ZADD', queue, 'XX', now + lease, member)
    reply[#reply + 1] = {member, now + lease, redis.call('HINCRBY', attempts, member, 1), found, packed or ''}
    if found[1] == 'signal' then sent = sent + #(found[11] or '') end
  end
end
return reply
