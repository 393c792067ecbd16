-- Puts due members of a sink's queue in flight at a host session. ARGV: sink, most, number and token of the session, number of the
-- call, and since when the store should know what it knows. Answers first whether more may be due (1), -1 when the session is not in the
-- store, and the server's time in ms; then of each member: the member, failed attempts, ended sessions, and what the sink is to be told,
-- with that since when the store knows what it knows, and whether the problem has an object of its own, which the host keeps as
-- it does what it answers.
local sink, most, session = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local since, unqueued = unpack(redis.call('MGET', kit.key('born'), kit.key('unqueued')))
if unqueued then kit.requeue(unqueued) end
if ARGV[6] and since ~= ARGV[6] then return redis.error_reply('EMPTIED this is not the store that was verified') end
local now = kit.time()
if not kit.lives(session, ARGV[4]) then return {-1, now} end
local queue, attempts = kit.key('q:', sink), kit.key('a:', sink)
local due = redis.call('ZRANGEBYSCORE', queue, 0, kit.text(now), 'LIMIT', 0, most)
if #due == 0 then return {0, now} end
local counts, fingerprints = redis.call('HMGET', attempts, unpack(due)), {}
-- A member with which three sessions ended may have ended them: it is delivered alone.
local POISON, alone = 3, nil
for place, member in ipairs(due) do
  local _, ended = kit.attempts(counts[place])
  if ended >= POISON then
    alone = place
    break
  end
  if #member == 32 then fingerprints[#fingerprints + 1] = member end
end
local more = #due == most and 1 or 0
if alone then
  more = #due > 1 and 1 or more
  -- Members that are due before it come first.
  for place = #due, max(alone, 2), -1 do due[place] = nil end
  if alone == 1 then fingerprints = #due[1] == 32 and {due[1]} or {} end
end
local clock = kit.read_ahead(fingerprints)
local flight = kit.in_flight(session, tonumber(ARGV[5]))

-- Not written yet: emptied a moment ago.
local born = tonumber(since or '') or kit.next(kit.reading(clock))
local history = kit.history(sink)
local last = history and redis.call('HMGET', history, unpack(due))
local function told(place, episode) return last and last[place] == kit.text(episode) and 1 or 0 end

local space = {}
local function signal(member, place)
  local record = kit.read(member, space)
  local view = record and kit.view(record)
  if not view then return nil end
  return {'signal', view.packed or kit.pack(view), told(place, view.episode), born, record.storm and 0 or 1, 0, 0, episode = view.episode}
end

local function storm(member, place)
  local found = kit.storm(member)
  if not found then return nil end
  local listed = redis.call('ZRANGE', kit.key('m:', member), 0, max(found.listed, 1) - 1, 'WITHSCORES')
  local names = {}
  for at = 1, #listed, 2 do names[#names + 1] = listed[at] end
  local summaries = #names > 0 and redis.call('HMGET', kit.key('n:', member), unpack(names)) or {}
  kit.announce(found, now)
  return {'storm', found.state, found.total, found.firing, found.opened, found.version, found.last, found.group, listed,
    summaries, told(place, found.opened), born}
end

-- Bytes of documents in one answer, sixteen documents more at most: what is over is left as it is, and claimed by the next call.
local MOST, STEP = 8388608, 16
local sent = 0

-- Puts their documents behind what was found; answers what each is then, or why it can't be read.
local function documents(members, found)
  local keys, places = {}, {}
  for place, view in pairs(found) do
    if view[1] == 'signal' then keys[#keys + 1], places[#places + 1] = kit.key('d:', members[place]), place end
  end
  if #keys == 0 then return end
  for index, document in ipairs(redis.call('MGET', unpack(keys))) do
    local place = places[index]
    -- An end that the sweeper made has none. MGET says the same of what is of the wrong type.
    local ok, text = true, document
    if not text then ok, text = pcall(function() return redis.call('GET', keys[index]) end) end
    if not ok then
      found[place] = {'fault', (kit.caught(text))}
    elseif text then
      found[place][8] = text
      -- One that is stored small is so long for the host: `StoredDocument`.
      local small = string.byte(text) == 1 and #text > 5
      sent = sent + (small and from_bytes('<I4', text, 2) or #text)
    end
  end
end

local gone, scores, reply = {}, {}, {}
-- Of the claimed problems: member and episode.
local problems, episodes, views = {}, {}, {}
for from = 1, #due, STEP do
  if sent > MOST then
    more = 1
    break
  end
  local found = {}
  local to = math.min(#due, from + STEP - 1)
  for place = from, to do
    local member = due[place]
    local ok, view = pcall(#member == 32 and signal or storm, member, place)
    if not ok then view = {'fault', (kit.caught(view))} end
    found[place] = view
    if not view then gone[#gone + 1] = member end
  end
  documents(due, found)
  for place = from, to do
    local member, view = due[place], found[place]
    if view and view[1] == 'fault' then
      -- What can't be read is not dropped: a person may still mend it.
      scores[#scores + 1], scores[#scores + 2] = now + 60000, member
      reply[#reply + 1] = {member, 0, 0, view}
    elseif view then
      scores[#scores + 1], scores[#scores + 2] = flight, member
      local failed, ended = kit.attempts(counts[place])
      reply[#reply + 1] = {member, failed, ended, view}
      if view.episode then
        problems[#problems + 1], episodes[#episodes + 1], views[member] = member, view.episode, view
      end
    end
  end
end

for member, e in pairs(kit.skipped(sink, problems, episodes)) do views[member][6], views[member][7] = e.skipped, e.first end
if #scores > 0 then redis.call('ZADD', queue, 'XX', unpack(scores)) end
if #gone > 0 then
  redis.call('ZREM', queue, unpack(gone))
  redis.call('HDEL', attempts, unpack(gone))
  kit.left(sink, gone)
  -- Without its record no sweep would find it.
  kit.drop_documents(gone, sink)
end
table.insert(reply, 1, now)
table.insert(reply, 1, more)
return reply
