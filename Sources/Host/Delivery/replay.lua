-- Puts what a sink did not take back into its queue, and drops the letter. ARGV: letter, cooldown in ms.
-- Answers queued; missing; gone (the store no longer knows what it spoke of); unowned (no sink of that name is configured:
-- nobody would empty its queue, and the letter stays); or an adapter's letter, whose item goes through the intake instead: its origin,
-- item, when it was received (ms), and its size if it was cut.
local key = kit.key('l:', ARGV[1])
local h = redis.call('HMGET', key, 'origin', 'kind', 'item', 'member', 'record', 'document', 'received', 'size')
if not h[1] then return {'missing'} end
if h[2] ~= 'sink' then return {'adapter', h[1], h[3], h[7] or '', h[8] or ''} end
local sink, member, packed, document = string.sub(h[1], 6), h[4], h[5], h[6]
local owned = false
for _, known in ipairs(outbox.sinks) do owned = owned or known.name == sink end
if not owned then return {'unowned', sink} end
local clock, now = kit.take(), kit.time()

-- A record goes only after its episode has ended: whatever it said when it was set aside, it is over. Told as it was, it
-- would revive the problem at its sink, and make a duplicate of every new firing.
local function restored()
  if not packed or packed == '' then return nil end
  local record = kit.unpack(packed)
  if record.state == kit.FIRING then
    record.state, record.reason, record.version, record.moment = kit.RESOLVED, kit.FORGOTTEN, clock, clock
    kit.over(record, now)
  end
  record.due, record.filed = now + tonumber(ARGV[2]), 0
  kit.write(member, record)
  kit.release()
  return record
end

-- Whether there is something to tell.
local function known()
  if #member ~= 32 then
    if not kit.storm(member) then return false end
    kit.buried(member, -1)
    return true
  end
  local record = kit.read(member) or restored()
  if not record or not kit.view(record) then return false end
  if document and document ~= '' then redis.call('SET', kit.key('d:', member), document, 'NX') end
  return true
end

local word = known() and 'queued' or 'gone'
if word == 'queued' then
  -- Its sink may have it, for all that was said: the next attempt is not the first.
  if redis.call('ZADD', kit.key('q:', sink), 'NX', now, member) == 1 then
    redis.call('HSET', kit.key('a:', sink), member, 1)
  end
  redis.call('SADD', kit.key('queues'), sink)
end
kit.delete_letter(h[1], ARGV[1])
return {word}
