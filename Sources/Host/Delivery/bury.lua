-- ARGV: sink, member, number of the session, version, reason, back-off in ms, token of the session, call. The removal from the queue and the dead letter are one step.
-- Answers buried; changed (the state moved on meanwhile, and may be deliverable: due again); full (no room: it stays
-- queued, with the back-off); lost (it is not in flight by that call any more); absent (the session is not in the store).
local sink, member, version = ARGV[1], ARGV[2], tonumber(ARGV[4])
local queue, attempts = kit.key('q:', sink), kit.key('a:', sink)
local score = redis.call('ZSCORE', queue, member)
local session = tonumber(ARGV[3])
if not kit.lives(session, ARGV[7]) then return 'absent' end
if not score or tonumber(score) ~= kit.in_flight(session, tonumber(ARGV[8])) then return 'lost' end
local now = kit.time()

local function again(after, word)
  redis.call('ZADD', queue, 'XX', now + after, member)
  redis.call('HDEL', attempts, member)
  return word
end

local record, document
if #member == 32 then
  record = kit.read(member)
  local view = record and kit.view(record)
  if view and view.version ~= version then return again(0, 'changed') end
  document = record and redis.call('GET', kit.key('d:', member))
else
  local storm = kit.storm(member)
  if storm and storm.version ~= version then return again(storm.flush, 'changed') end
end
if not kit.bury(now, sink, member, ARGV[5], record, document, kit.skipped_of(sink, member)) then return again(tonumber(ARGV[6]), 'full') end
redis.call('ZREM', queue, member)
redis.call('HDEL', attempts, member)
kit.left_as_letter(sink, member, record and kit.view(record))
kit.drop_documents({member}, sink)
return 'buried'
