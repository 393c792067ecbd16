-- Puts what a sink did not take back into its queue, and drops the letter. ARGV: letter, cooldown, retention in ms.
-- Answers queued; missing; gone (its storm no longer exists); or an adapter's letter, whose item goes through the
-- intake instead.
local key = kit.key('l:', ARGV[1])
local h = redis.call('HMGET', key, 'origin', 'kind', 'item', 'member', 'record', 'document')
if not h[1] then return {'missing'} end
if h[2] ~= 'sink' then return {'adapter', h[1], h[3]} end
local sink, member, packed, document = string.sub(h[1], 6), h[4], h[5], h[6]
local word = 'queued'
local now = kit.take(1)
if #member == 32 then
  if not kit.read(member) and packed and packed ~= '' then
    local record = kit.unpack(packed)
    record.due = now + tonumber(record.state == kit.FIRING and ARGV[3] or ARGV[2])
    kit.write(member, record, true)
  end
  if document and document ~= '' then redis.call('SET', kit.key('d:', member), document, 'NX') end
elseif not kit.storm(member) then
  word = 'gone'
else
  redis.call('HINCRBY', kit.key('s:', member), 'buried', -1)
end
if word == 'queued' then
  redis.call('ZADD', kit.key('q:', sink), 'NX', now, member)
  redis.call('SADD', kit.key('queues'), sink)
end
redis.call('DEL', key)
redis.call('ZREM', kit.key('dead:', h[1]), ARGV[1])
return {word}
