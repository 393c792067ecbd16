-- Behind the prelude in every script: what waits for sinks, and what was set aside.

-- Dead letters ----------------------------------------------------------------------------------------------------

local function prefixed(text) return string.format('%08x', #text) .. text end

-- Stores a dead letter, or counts one that is there; either way it has these fields. Answers whether it is stored (not when
-- its origin has no room), and whether it is a new one. One that is `answered` for has room, and is not counted again.
function kit.letter(now, origin, item, reason, fields, answered)
  local id = redis.sha1hex(prefixed(origin) .. prefixed(item) .. prefixed(reason))
  local key, index = base .. 'l:' .. id, base .. 'dead:' .. origin
  local known = redis.call('EXISTS', key) == 1
  if known and answered then return true, false end
  if not known then
    if not answered and redis.call('ZCARD', index) >= outbox.letters then return false, false end
    redis.call('HSET', key, 'origin', origin, 'item', item, 'reason', reason, 'first', now)
  end
  redis.call('HINCRBY', key, 'count', 1)
  redis.call('HSET', key, 'last', now, unpack(fields))
  redis.call('SADD', base .. 'dead', origin)
  redis.call('ZADD', index, now, id)
  return true, not known
end

-- Sets aside what a sink does not get: an episode (`record`) or a storm, in its latest state. Returns false when there is
-- no room.
function kit.bury(now, sink, member, reason, record, document)
  local item, fields = member, {'kind', 'sink', 'member', member}
  if record then
    -- A record that joined a storm speaks of the episode before.
    item = member .. string.format('%.0f', (kit.view(record) or record).episode)
    fields[5], fields[6] = 'record', kit.pack(record)
    -- An end that the sweeper made has no document: that of before still says whose it is.
    if document then fields[7], fields[8] = 'document', document end
  end
  local stored, new = kit.letter(now, 'sink/' .. sink, item, reason, fields)
  -- A storm is kept for as long as letters speak of it; one that came again is still one.
  if new and #member ~= 32 then redis.call('HINCRBY', base .. 's:' .. member, 'buried', 1) end
  return stored
end

-- Queues ----------------------------------------------------------------------------------------------------------

local function full(detail) kit.fault(detail, 'persist') end

local function has_room(key, member)
  if held then
    -- Members that are there already count twice here. When that matters, it is counted again.
    local count = held.counts[key] or redis.call('ZCARD', key)
    if count >= outbox.backlog then
      kit.release()
      count = redis.call('ZCARD', key)
    end
    held.counts[key] = count
    return count < outbox.backlog or redis.call('ZSCORE', key, member)
  end
  return redis.call('ZCARD', key) < outbox.backlog or redis.call('ZSCORE', key, member)
end

local queues = {}
for place, sink in ipairs(outbox.sinks) do queues[place] = base .. 'q:' .. sink.name end

-- The sinks that have no room for `member`, by place; nil when all have. Raises when one of them refuses.
local function without_room(member)
  local shut
  for place, sink in ipairs(outbox.sinks) do
    if not has_room(queues[place], member) then
      if sink.full == 'refuse' then full('backlog of ' .. sink.name .. ' full') end
      if redis.call('ZCARD', base .. 'dead:sink/' .. sink.name) >= outbox.letters then
        full('backlog and dead letters of ' .. sink.name .. ' full')
      end
      shut = shut or {}
      shut[place] = true
    end
  end
  return shut
end

-- Decides whether every sink can take `member` (a fingerprint or a storm), and returns the writes that queue it from
-- `due` on, or hand it over. Raises when a sink that refuses is full; for what is `answered` for there is always room.
function kit.queue(member, now, due, answered)
  local shut = not answered and without_room(member)
  return function(record, document, handed)
    local open = false
    for place in ipairs(queues) do open = open or not shut or not shut[place] end
    if document and open then
      if held then held.documents[member] = document else redis.call('SET', base .. 'd:' .. member, document) end
    end
    for place, key in ipairs(queues) do
      if not shut or not shut[place] then
        kit.enqueue(key, due, member, handed)
        if held then held.counts[key] = held.counts[key] + 1 end
      end
    end
    if not shut then return end
    for place, sink in ipairs(outbox.sinks) do
      if shut[place] and not kit.bury(now, sink.name, member, 'backlog full', record, document) then
        full('dead letters of ' .. sink.name .. ' full')
      end
    end
  end
end

-- What a sink has last had, if it asks for that: an episode by fingerprint, in one hash for each sink.
function kit.history(sink)
  for _, known in ipairs(outbox.sinks) do
    if known.name == sink then return known.history and base .. 't:' .. sink end
  end
end

-- Forgets a fingerprint there.
function kit.forget(fingerprint)
  for _, sink in ipairs(outbox.sinks) do
    if sink.history then redis.call('HDEL', base .. 't:' .. sink.name, fingerprint) end
  end
end

-- Of `members`, those that no queue of any host holds, `except` aside.
local function unqueued(members, except)
  for _, name in ipairs(redis.call('SMEMBERS', base .. 'queues')) do
    if name ~= except and #members > 0 then
      local scores, left = redis.call('ZMSCORE', base .. 'q:' .. name, unpack(members)), {}
      for place, member in ipairs(members) do
        if not scores[place] then left[#left + 1] = member end
      end
      members = left
    end
  end
  return members
end

function kit.queued(member) return #unqueued({member}) == 0 end

-- Lets the caller have what is queued for the sinks of which `offer` has a 1, in their order, behind a number: `<I2`. The number
-- tells its calls from those of others. Answers their queues; none when nothing is offered.
function kit.offered(offer, now)
  local offered = {}
  if offer == '' then return offered end
  local score = now + outbox.lease + from_bytes('<I2', offer) / 2048
  for place, key in ipairs(queues) do
    if string.byte(offer, place + 2) == 1 then
      kit.hand_over(key, score)
      offered[#offered + 1] = key
    end
  end
  return offered
end

-- Deletes the documents that nobody waits for any more of what has left the queue of `sink`. A storm has none.
function kit.drop_documents(members, sink)
  local keys = {}
  for _, member in ipairs(unqueued(members, sink)) do
    if #member == 32 then keys[#keys + 1] = base .. 'd:' .. member end
  end
  if #keys > 0 then redis.call('DEL', unpack(keys)) end
end

-- Storms ----------------------------------------------------------------------------------------------------------

kit.FAR = 8000000000000000

local function number(text) return tonumber(text or '0') or kit.fault('a storm is unreadable') end

-- Nil when there is no such storm.
function kit.storm(id)
  local h = redis.call('HMGET', base .. 's:' .. id, 'state', 'opened', 'last', 'total', 'firing', 'version',
    'announced', 'flush', 'quiet', 'longest')
  if not h[1] then return nil end
  return {id = id, state = h[1], opened = number(h[2]), last = number(h[3]), total = number(h[4]),
    firing = number(h[5]), version = number(h[6]), announced = number(h[7]), flush = number(h[8]),
    quiet = number(h[9]), longest = number(h[10])}
end

-- When it stops growing, unless members come.
function kit.closing(storm) return min(storm.last + storm.quiet, storm.opened + storm.longest) end

function kit.write_storm(storm)
  redis.call('HSET', base .. 's:' .. storm.id, 'state', storm.state, 'last', storm.last, 'total', storm.total,
    'firing', storm.firing, 'version', storm.version, 'announced', storm.announced)
end

-- A storm that no longer grows and has no firing member is over.
function kit.settle(storm, now)
  if storm.state == 'closed' and storm.firing <= 0 then
    storm.state = 'resolved'
    redis.call('ZREM', base .. 'storms', storm.id)
    redis.call('ZADD', base .. 'ended', now, storm.id)
  end
end

-- A member's episode ended: decides, and returns the writes; nil when its storm is gone, or counts another episode.
function kit.leave(id, fingerprint, episode, now, answered)
  local storm = kit.storm(id)
  if not storm then return nil end
  local place = redis.call('HGET', base .. 'n:' .. id, fingerprint)
  local known = redis.call('ZSCORE', base .. 'm:' .. id, fingerprint)
  if not place or sub(place, 1, 1) ~= 'f' or tonumber(known) ~= episode then return nil end
  local queue = kit.queue(id, now, max(now, storm.announced + storm.flush), answered)
  return function()
    queue(nil, nil)
    redis.call('HSET', base .. 'n:' .. id, fingerprint, 'r' .. sub(place, 2))
    storm.firing, storm.version = storm.firing - 1, now
    kit.settle(storm, now)
    kit.write_storm(storm)
  end
end
