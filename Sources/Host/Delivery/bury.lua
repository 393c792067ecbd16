-- ARGV: sink, member, token, version, reason, back-off in ms. The removal from the queue and the dead letter are one step.
-- Answers buried; changed (the state moved on meanwhile, and may be deliverable: due again); full (no room: it stays
-- queued, with the back-off); lost.
local sink, member, version = ARGV[1], ARGV[2], tonumber(ARGV[4])
local queue, attempts = kit.key('q:', sink), kit.key('a:', sink)
local score = redis.call('ZSCORE', queue, member)
if not score or tonumber(score) ~= tonumber(ARGV[3]) then return 'lost' end
local now = kit.now()

local function again(after, word)
  redis.call('ZADD', queue, 'XX', now + after, member)
  redis.call('HDEL', attempts, member)
  return word
end

local item, fields = member, {'kind', 'sink', 'member', member}
if #member == 32 then
  local record = kit.read(member)
  local view = record and kit.view(record)
  if view and view.version ~= version then return again(0, 'changed') end
  if record then
    item = member .. string.format('%.0f', view and view.episode or record.episode)
    fields = {'kind', 'sink', 'member', member, 'record', kit.pack(record), 'document',
      redis.call('GET', kit.key('d:', member)) or ''}
  end
else
  local storm = kit.storm(member)
  if storm and storm.version ~= version then return again(storm.flush, 'changed') end
end
if not kit.letter(now, 'sink/' .. sink, item, ARGV[5], fields) then return again(tonumber(ARGV[6]), 'full') end
-- A storm is kept for as long as a dead letter speaks of it.
if #member ~= 32 then redis.call('HINCRBY', kit.key('s:', member), 'buried', 1) end
redis.call('ZREM', queue, member)
redis.call('HDEL', attempts, member)
if #member == 32 and not kit.queued(member) then redis.call('DEL', kit.key('d:', member)) end
return 'buried'
