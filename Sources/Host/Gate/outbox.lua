-- Behind the prelude in every script: what waits for sinks, and what was set aside.

-- Dead letters ----------------------------------------------------------------------------------------------------

local function prefixed(text) return string.format('%08x', #text) .. text end

-- `dead-bytes` has for each origin the bytes of its letters, the sum of their fields `bytes`.

-- Whether the letters of an origin have all bytes that they may have, with `more` that are held.
function kit.letters_full(origin, more)
  return (tonumber(redis.call('HGET', base .. 'dead-bytes', origin) or '0') or 0) + (more or 0) >= outbox.letter_bytes
end

local function bytes_of(item, reason, fields)
  local bytes = #item + #reason
  for at = 2, #fields, 2 do bytes = bytes + #fields[at] end
  return bytes
end

local function add_bytes(origin, bytes)
  if bytes == 0 then return end
  if redis.call('HINCRBY', base .. 'dead-bytes', origin, bytes) <= 0 then redis.call('HDEL', base .. 'dead-bytes', origin) end
end

-- Stores a dead letter, or counts one that is there; either way it has this item and these fields. Answers whether it is stored
-- (not when its origin has no room), and whether it is a new one. One that is `answered` for has room, and is not counted again; one
-- that is `decided` has room too.
-- Letters of one `identity` are one letter, whatever their items and reasons; without it, item and reason tell them apart.
function kit.letter(now, origin, item, reason, fields, answered, identity, decided)
  local id = redis.sha1hex(prefixed(origin) .. (identity and prefixed(identity) or prefixed(item) .. prefixed(reason)))
  local key, index = base .. 'l:' .. id, base .. 'dead:' .. origin
  local known = redis.call('EXISTS', key) == 1
  if known and answered then return true, false end
  local full = not decided and kit.letters_full(origin)
  local before, bytes = known and tonumber(redis.call('HGET', key, 'bytes') or '0') or 0, bytes_of(item, reason, fields)
  if not known then
    if not answered and not decided and (full or redis.call('ZCARD', index) >= outbox.letters) then return false, false end
    redis.call('HSET', key, 'origin', origin, 'first', now)
  end
  redis.call('HINCRBY', key, 'count', 1)
  redis.call('HSET', key, 'last', now)
  -- For a longer one there may be no room: then the letter keeps the item that it has.
  if not (known and full and bytes > before) then
    redis.call('HSET', key, 'item', item, 'reason', reason, 'bytes', bytes, unpack(fields))
    add_bytes(origin, bytes - before)
  end
  redis.call('SADD', base .. 'dead', origin)
  redis.call('ZADD', index, now, id)
  return true, not known
end

-- Deletes a dead letter.
function kit.delete_letter(origin, id)
  local key = base .. 'l:' .. id
  local bytes = tonumber(redis.call('HGET', key, 'bytes') or '0') or 0
  redis.call('DEL', key)
  redis.call('ZREM', base .. 'dead:' .. origin, id)
  add_bytes(origin, -bytes)
end

local function fields_of(sink, member, packed, document, skipped)
  local fields = {'kind', 'sink', 'member', member}
  if packed then
    fields[5], fields[6] = 'record', packed
    -- An end that the sweeper made has no document: that of before still says whose it is.
    if document then fields[7], fields[8] = 'document', document end
    if skipped and skipped ~= '' then fields[#fields + 1], fields[#fields + 2] = 'skipped', skipped end
  end
  return fields
end

-- Sets aside what a sink does not get: an episode (`packed`, its record) or a storm, in its latest state. `item` names it, and `skipped`
-- the episodes before it that the sink was never told of. Returns false when there is no room; one that is
-- `decided` has room.
function kit.set_aside(now, sink, member, item, reason, packed, document, skipped, decided)
  local fields = fields_of(sink, member, packed, document, skipped)
  local stored, new = kit.letter(now, 'sink/' .. sink, item, reason, fields, false, nil, decided)
  -- A storm is kept for as long as letters speak of it; one that came again is still one.
  if new and #member ~= 32 then kit.buried(member, 1) end
  return stored
end

-- Holds such a letter until the writes of the call are made. Its number and its bytes count from now on.
local function hold_letter(now, sink, member, item, reason, packed, document)
  local aside = held.aside[sink] or {count = 0, bytes = 0}
  held.aside[sink] = aside
  aside.count = aside.count + 1
  aside.bytes = aside.bytes + bytes_of(item, reason, fields_of(sink, member, packed, document))
  held.letters[#held.letters + 1] = function()
    kit.set_aside(now, sink, member, item, reason, packed, document, nil, true)
  end
end

function kit.bury(now, sink, member, reason, record, document, skipped)
  -- A record that joined a storm speaks of the episode before.
  local item = record and member .. kit.text((kit.view(record) or record).episode) or member
  return kit.set_aside(now, sink, member, item, reason, record and kit.pack(record), document, skipped)
end

-- Queues ----------------------------------------------------------------------------------------------------------

local function full(detail) kit.fault(detail, 'persist') end

local function has_room(key, member)
  -- Members that are there already count twice here. When that matters, it is counted again.
  local count = held.counts[key] or redis.call('ZCARD', key)
  if count >= outbox.backlog then
    local waiting = held.queues[key]
    count = redis.call('ZCARD', key)
    local seen = {}
    for at = 2, waiting and #waiting or 0, 2 do
      if not seen[waiting[at]] and not redis.call('ZSCORE', key, waiting[at]) then count = count + 1 end
      seen[waiting[at]] = true
    end
    if count >= outbox.backlog and (seen[member] or redis.call('ZSCORE', key, member)) then return true end
  end
  held.counts[key] = count
  return count < outbox.backlog
end

local queues = {}
for place, sink in ipairs(outbox.sinks) do queues[place] = base .. 'q:' .. sink.name end

-- The sinks that have no room for `member`, by place; nil when all have. Raises when one of them refuses.
local function without_room(member)
  local shut
  for place, sink in ipairs(outbox.sinks) do
    if not has_room(queues[place], member) then
      if sink.full == 'refuse' then full('backlog of ' .. sink.name .. ' full') end
      -- Decided here for good: a letter that finds no room when the writes are made would fail the whole call.
      local aside = held.aside[sink.name]
      if kit.letters_full('sink/' .. sink.name, aside and aside.bytes)
        or redis.call('ZCARD', base .. 'dead:sink/' .. sink.name) + (aside and aside.count or 0) >= outbox.letters then
        full('backlog and dead letters of ' .. sink.name .. ' full')
      end
      shut = shut or {}
      shut[place] = true
    end
  end
  return shut
end

-- Decides whether every sink can take `member` (a fingerprint or a storm), and returns the writes that queue it from
-- `due` on, or put it in flight at the calling host. Raises when a sink that refuses is full; for what is `answered` for there is always room. `grown` says
-- that only a count has grown: a member in back-off stays there.
function kit.queue(member, now, due, answered, grown)
  local shut = not answered and without_room(member)
  return function(record, document, place)
    local open = false
    for place in ipairs(queues) do open = open or not shut or not shut[place] end
    if document and open then held.documents[member] = document end
    -- Only a member that the store or this call has known before may be queued already.
    local again, note = held.queued[member], nil
    held.queued[member] = true
    if existed[member] or again then
      note = {member = member, due = due, changed = not grown, again = again, episode = record and not answered and record.episode or 0,
        opens = record and record.episode == record.version, before = record and record.own or 0}
      if note.opens then note.episode = record.episode end
    end
    for number, key in ipairs(queues) do
      if not shut or not shut[number] then
        kit.enqueue(key, due, member, place, note)
        if held.counts[key] then held.counts[key] = held.counts[key] + 1 end
      end
    end
    if not shut then return end
    for place, sink in ipairs(outbox.sinks) do
      if shut[place] then
        -- As it is now: the record may change again in this call.
        local packed, view = record and kit.pack(record), record and kit.view(record)
        local item = record and member .. kit.text((view or record).episode) or member
        hold_letter(now, sink.name, member, item, 'backlog full', packed, document)
        if record and record.episode > 0 and record.episode == record.version then
          local episode = record.episode
          held.untold[#held.untold + 1] = function() kit.not_told(sink.name, member, episode) end
        end
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

-- Forgets a fingerprint there, and what sinks were not told of it.
function kit.forget(fingerprint)
  for _, sink in ipairs(outbox.sinks) do
    kit.left(sink.name, {fingerprint})
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

-- Puts members that this call queues for the first time in flight at the calling host, without a claim. `offer`: numbers of its session and
-- of the call (`<I4I4`), the session's token, and for each sink in order a 1 when its worker has capacity. Answers the queues of those;
-- none when nothing is offered, or the session is not in the store: then all is queued as due.
function kit.offered(offer)
  local offered = {}
  if offer == '' then return offered end
  local session, call = from_bytes('<I4I4', offer)
  if not kit.lives(session, sub(offer, 9, 24)) then return offered end
  kit.dispatch_at(kit.in_flight(session, call))
  for place, key in ipairs(queues) do
    if string.byte(offer, place + 24) == 1 then
      kit.dispatch(key)
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
