-- ARGV: number and token of the session, sink; then member, call, version, episode for each delivery that its sink has. Answers a word
-- for each: settled; changed (its state moved on meanwhile: due again); lost (it is not in flight by that call any more: nothing
-- is touched). Answers nothing when the session is not in the store.
local session, sink = tonumber(ARGV[1]), ARGV[3]
if not kit.lives(session, ARGV[2]) then return {} end
local queue, attempts = kit.key('q:', sink), kit.key('a:', sink)
local history = kit.history(sink)
local members, fingerprints = {}, {}
for at = 4, #ARGV, 4 do
  local member = ARGV[at]
  members[#members + 1] = member
  if #member == 32 then fingerprints[#fingerprints + 1] = member end
end
kit.read_ahead(fingerprints)
local scores = redis.call('ZMSCORE', queue, unpack(members))

local space = {}
local reply, ours, told, again, settled = {}, {}, {}, {}, {}
-- Problems whose state has moved on, and the episodes that the sink has been told of.
local moved, episodes = {}, {}
for place, member in ipairs(members) do
  local at = place * 4
  local flight, version = kit.in_flight(session, tonumber(ARGV[at + 1])), tonumber(ARGV[at + 2])
  if not scores[place] or tonumber(scores[place]) ~= flight then
    reply[place] = 'lost'
  else
    local ok, found, from = pcall(kit.current, member, space)
    if ok then
      ours[#ours + 1] = member
    else
      -- What can't be read any more is the next claim's to find, in a minute. Its sink has it: the next attempt is no first one.
      found, from = 0, kit.time() + 60000
      kit.asked(sink, member, 1)
    end
    if ARGV[at + 3] ~= '0' then told[#told + 1], told[#told + 2] = member, ARGV[at + 3] end
    if found and found ~= version then
      again[#again + 1], again[#again + 2] = math.max(kit.time(), from), member
      reply[place] = 'changed'
      if ARGV[at + 3] ~= '0' and #member == 32 then moved[#moved + 1], episodes[#episodes + 1] = member, tonumber(ARGV[at + 3]) end
    else
      settled[#settled + 1] = member
      reply[place] = 'settled'
    end
  end
end

if #ours > 0 then redis.call('HDEL', attempts, unpack(ours)) end
if history and #told > 0 then redis.call('HSET', history, unpack(told)) end
kit.told(sink, moved, episodes)
if #again > 0 then redis.call('ZADD', queue, 'XX', unpack(again)) end
if #settled > 0 then
  redis.call('ZREM', queue, unpack(settled))
  kit.left(sink, settled)
  kit.drop_documents(settled, sink)
end
return reply
