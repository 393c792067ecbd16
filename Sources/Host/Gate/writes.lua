-- Behind the prelude: the writes of a script, held back until everything is decided.
--
-- `kit.release` makes them in an order of which every prefix is harmless: entries of lists and indexes, which count only with the record
-- or storm that they point to; places in queues of new members, likewise; then, in one command, all records, storms and documents, and
-- which members are still to be queued; those; last counts that may be missing.
-- A record without its place in a queue would make every repeat a duplicate of something that no sink is told.
-- Reads through `kit` see the held writes.
local held
-- Of records that were read ahead or written: the packed record; false when there is none.
local known = {}
-- Members whose record or storm was in the store when it was read.
local existed = {}

function kit.hold()
  held = {letters = {}, untold = {}, due = {}, sorted = {}, hashes = {}, queues = {}, notes = {}, queued = {}, documents = {}, records = {}, order = {}, storms = {},
    fields = {}, lives = {}, moved = {}, removed = {}, counters = {}, counts = {}, aside = {}, unlisted = {}}
end
kit.hold()

-- The key of the members that are still to be queued, and whether this script has queued them: see `kit.requeue`.
local UNQUEUED, looked = base .. 'unqueued', false

-- Drops what is held, so that all is decided again. Steps look at `kit.round` to drop what they keep for the call. A write that failed
-- may have left members unqueued.
kit.round = 1
function kit.restart()
  known, existed, looked, kit.round = {}, {}, false, kit.round + 1
  kit.hold()
end

-- Direct dispatch: what a host's call queues for the first time is in flight at that host at once, as if it had claimed it, with the
-- score `flight`. Of each queue: which members were asked for, and at which places of the call; and the places, a byte for each, of
-- those that the host has to deliver.
local dispatching, flight = {}, nil

function kit.dispatch_at(score) flight = score end

-- Puts in flight at the calling host what is queued under `key` in this call.
function kit.dispatch(key) dispatching[key] = {asked = {}, places = {}, seen = {}, taken = {}} end

function kit.dispatched(key) return table.concat(dispatching[key].taken) end

-- A member that was queued already is in flight elsewhere, or waits for a claim.
local function note_dispatched(key, one, all)
  local scores = not all and redis.call('ZMSCORE', key, unpack(one.asked))
  for at, place in ipairs(one.places) do
    if all or tonumber(scores[at] or '') == flight then one.taken[#one.taken + 1] = string.char(place) end
  end
  one.asked, one.places = {}, {}
end

local function list_of(lists, key)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  return list
end

local function append(lists, key, first, second)
  local list = list_of(lists, key)
  local at = #list
  list[at + 1], list[at + 2] = first, second
end

-- Adds to a sorted set that is an index, or sets a field of a hash that is one.
function kit.index(key, score, member) append(held.sorted, key, score, member) end
function kit.entry(key, field, value)
  append(held.hashes, key, field, value)
  if held.unlisted[key] then held.unlisted[key][field] = nil end
end
-- The field of such a hash.
function kit.entry_of(key, field)
  local list, found = held.hashes[key], nil
  for at = 1, list and #list or 0, 2 do
    if list[at] == field then found = list[at + 1] end
  end
  if found or held.unlisted[key] and held.unlisted[key][field] then return found end
  return redis.call('HGET', key, field)
end

-- Moves a member of a sorted set that is an index when its record or storm is written: where it was, the sweeper finds it again.
function kit.reindex(key, score, member) append(held.moved, key, score, member) end

-- Removes a member of a sorted set when all else is written.
function kit.unindex(key, member) list_of(held.removed, key)[#list_of(held.removed, key) + 1] = member end

-- Removes a field of a hash when all else is written.
function kit.unlist(key, field) list_of(held.unlisted, key)[field] = true end

-- Counts one more of `name` for the metrics.
function kit.tally(name) held.counters[name] = (held.counters[name] or 0) + 1 end

-- Sets a field of a hash that lives for `ms` from then on.
function kit.put(key, field, value, ms)
  append(held.fields, key, field, value)
  held.lives[key] = ms
end

-- Queues a member for a sink from `time` on; a new episode may be dispatched, and has a `place` in the call, from 0. A `note`
-- says how it meets the member if that is queued already.
function kit.enqueue(key, time, member, place, note)
  local one = place and dispatching[key]
  -- One delivery of a member at a time.
  if one and not one.seen[member] then
    time, one.seen[member] = flight, true
    one.asked[#one.asked + 1], one.places[#one.places + 1] = member, place
  end
  append(held.queues, key, time, member)
  if note then
    local notes = list_of(held.notes, key)
    notes[#notes + 1] = note
  end
end

-- Queues members. NX: a member in flight keeps its score; its delivery notices the new version when it is acknowledged.
local function fill(queues, added)
  for key, members in pairs(queues) do
    added[key] = (added[key] or 0) + redis.call('ZADD', key, 'NX', unpack(members))
  end
end

-- A change of a problem that the store knows is queued behind its record, or sinks would be told the state before again; and the store
-- holds, in one command with the record, what is still to be queued: the key `unqueued`. A script that finds it queues first.
function kit.requeue(packed)
  looked = true
  if not packed then return end
  local lists = cmsgpack.unpack(packed)
  for at = 1, #lists, 2 do redis.call('ZADD', lists[at], 'NX', unpack(lists[at + 1])) end
  redis.call('DEL', UNQUEUED)
end

-- The members of `queues` that are new to the store, and the others.
local function parted(queues)
  local new, older = {}, {}
  for key, members in pairs(queues) do
    for at = 1, #members, 2 do
      append(existed[members[at + 1]] and older or new, key, members[at], members[at + 1])
    end
  end
  return new, older
end

function kit.release()
  local writes = held
  kit.releasing = writes
  kit.hold()
  for _, write in ipairs(writes.letters) do write() end
  for second, entries in pairs(writes.due) do
    redis.call('ZADD', base .. 'due', second, second)
    redis.call('RPUSH', base .. 'due:' .. second, unpack(entries))
  end
  for key, members in pairs(writes.sorted) do redis.call('ZADD', key, unpack(members)) end
  for key, fields in pairs(writes.hashes) do redis.call('HSET', key, unpack(fields)) end
  local new, older = parted(writes.queues)
  local unqueued = next(older) ~= nil
  if unqueued and not looked then kit.requeue(redis.call('GET', UNQUEUED)) end
  local added, met = {}, {}
  for key, notes in pairs(writes.notes) do met[key] = kit.meet(key, notes) end
  fill(new, added)
  local words, at = {}, 0
  local function word(key, value)
    words[at + 1], words[at + 2] = key, value
    at = at + 2
  end
  for member, document in pairs(writes.documents) do word(base .. 'd:' .. member, document) end
  for _, fingerprint in ipairs(writes.order) do word(base .. 'r:' .. fingerprint, known[fingerprint]) end
  for id, packed in pairs(writes.storms) do word(base .. 's:' .. id, packed) end
  if unqueued then
    local lists = {}
    for key, members in pairs(older) do lists[#lists + 1], lists[#lists + 2] = key, members end
    word(UNQUEUED, cmsgpack.pack(lists))
  end
  if at > 0 then redis.call('MSET', unpack(words)) end
  if unqueued then
    fill(older, added)
    redis.call('DEL', UNQUEUED)
    for key, early in pairs(met) do kit.hurry(key, early) end
  end
  for key, one in pairs(dispatching) do
    if #one.asked > 0 then note_dispatched(key, one, added[key] * 2 == #writes.queues[key]) end
  end
  for fingerprint in pairs(writes.records) do existed[fingerprint] = true end
  for id in pairs(writes.storms) do existed[id] = true end
  for key, fields in pairs(writes.fields) do
    redis.call('HSET', key, unpack(fields))
    redis.call('PEXPIRE', key, writes.lives[key])
  end
  for key, members in pairs(writes.moved) do redis.call('ZADD', key, unpack(members)) end
  for key, members in pairs(writes.removed) do redis.call('ZREM', key, unpack(members)) end
  for key, fields in pairs(writes.unlisted) do
    for field in pairs(fields) do redis.call('HDEL', key, field) end
  end
  for _, write in ipairs(writes.untold) do write() end
  for name, count in pairs(writes.counters) do redis.call('HINCRBY', base .. 'counters', name, count) end
  kit.releasing = nil
end
