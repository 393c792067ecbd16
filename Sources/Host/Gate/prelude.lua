-- In front of every script. KEYS[1] is the clock; every other key has its prefix. docs/policies.md has the contract.
-- A read of the wrong type, or a value that this code did not write, raises: what can't be read vouches for nothing.
local base = string.sub(KEYS[1], 1, -6)
local kit = {}

-- Raises. `step` names the policy to blame when it is another one than the running, and says that `detail` is for the
-- sender. The only raise there is, because Redis 7.0 ends its own process when a table without `err` leaves a
-- script; its pcall hands on nothing but `err`, so that holds it all.
function kit.fault(detail, step)
  error({err = 'ERR portcullis ' .. (step or '') .. ': ' .. detail})
end

-- What a caught error says, and the step to blame.
function kit.caught(fault)
  if type(fault) == 'table' then fault = fault.err end
  local step, detail = string.match(tostring(fault), '^ERR portcullis ([^:]*): (.*)$')
  if not step then return tostring(fault) end
  return detail, step ~= '' and step or nil
end

function kit.key(family, name) return base .. family .. (name or '') end

-- The host passes its configuration in front of this text as `outbox`: sinks, backlog, letters.
kit.outbox = outbox

-- Clock -----------------------------------------------------------------------------------------------------------

-- The reading after `last`, which is false before the first: max(TIME in ms, last + 1).
local function after(last)
  local value = last and tonumber(last) or not last and 0
  if not value or value < 0 or value ~= math.floor(value) then kit.fault('the clock is unreadable') end
  local time = redis.call('TIME')
  return math.max(time[1] * 1000 + math.floor(time[2] / 1000), value + 1)
end

local function taken(first, count)
  redis.call('SET', KEYS[1], string.format('%.0f', first + count - 1))
  return first
end

-- The next reading, without taking it.
function kit.now() return after(redis.call('GET', KEYS[1])) end

-- Takes `count` readings in one write and returns the first: no other call will ever see any of them. All are above `floor`.
function kit.take(count, floor) return taken(math.max(kit.now(), (floor or 0) + 1), count) end

-- As `take`, after the reading that was `read` from the clock.
function kit.take_after(read, count) return taken(after(read), count) end

-- Writes ----------------------------------------------------------------------------------------------------------

-- The gate holds back what its signals write alike, and writes it with a command or two for all of them: a command costs
-- more than what it does. What reads the same keys here sees it. Nil: every write is made at once.
local held
-- Of records that were read ahead or are held back: what they are by now, packed; false when there is none.
local known = {}

function kit.hold(counts) held = {records = {}, order = {}, documents = {}, sorted = {}, counts = counts or {}} end

local function add(key, score, member)
  local words = held.sorted[key]
  if not words then
    words = {}
    held.sorted[key] = words
  end
  local at = #words
  words[at + 1], words[at + 2] = score, member
end

-- Queues first: a record without its place in one would make every repeat a duplicate of what is stored nowhere.
function kit.release()
  local due, words, at = held.sorted.due, {}, 0
  held.sorted.due = nil
  -- NX: a claimed member keeps its score; its delivery notices the new version when it is acknowledged.
  for key, members in pairs(held.sorted) do redis.call('ZADD', key, 'NX', unpack(members)) end
  if due then redis.call('ZADD', base .. 'due', 'LT', unpack(due)) end
  for member, document in pairs(held.documents) do
    words[at + 1], words[at + 2] = base .. 'd:' .. member, document
    at = at + 2
  end
  for _, fingerprint in ipairs(held.order) do
    words[at + 1], words[at + 2] = base .. 'r:' .. fingerprint, known[fingerprint]
    at = at + 2
  end
  if at > 0 then redis.call('MSET', unpack(words)) end
  kit.hold(held.counts)
end

-- Records ---------------------------------------------------------------------------------------------------------

local FIRING, RESOLVED = 1, 2
kit.FIRING, kit.RESOLVED = FIRING, RESOLVED
-- How an episode ended by itself: 0 it did not, 1 expired, 2 forgotten.
kit.EXPIRED, kit.FORGOTTEN = 1, 2
local FORMAT = '<BBBBI4I6I6I6I6I6I6I6I6'
local SIZE = 56
local STORM = 22

-- Into a table of before when there is one: to make one costs as much as all the rest.
function kit.unpack(packed, into)
  if #packed ~= SIZE and #packed ~= SIZE + STORM then kit.fault('a record is unreadable') end
  local r, format = into or {}
  format, r.state, r.reason, r.bounded, r.count, r.episode, r.version, r.last, r.start, r.resolve, r.due, r.announced,
    r.follows = struct.unpack(FORMAT, packed)
  if format ~= 1 or (r.state ~= FIRING and r.state ~= RESOLVED) then kit.fault('a record is unreadable') end
  r.storm = #packed > SIZE and string.sub(packed, SIZE + 1) or nil
  r.packed = packed
  return r
end

-- When it was last changed or sighted: of two states of one record the later is the newer.
function kit.moment(r) return math.max(r.version, r.last) end

function kit.pack(r)
  return struct.pack(FORMAT, 1, r.state, r.reason, r.bounded, math.min(r.count, 4294967295), r.episode, r.version,
    r.last, r.start, r.resolve, r.due, r.announced, r.follows) .. (r.storm or '')
end

function kit.read(fingerprint, into)
  local packed = known[fingerprint]
  if packed == nil then packed = redis.call('GET', base .. 'r:' .. fingerprint) end
  return packed and kit.unpack(packed, into)
end

-- The index of the sweeper is scored lazily: it is only ever too early.
function kit.write(fingerprint, r, earlier)
  r.packed = kit.pack(r)
  if held then
    if earlier then add('due', r.due, fingerprint) end
    if not held.records[fingerprint] then held.order[#held.order + 1] = fingerprint end
    held.records[fingerprint], known[fingerprint] = true, r.packed
    return
  end
  if earlier then redis.call('ZADD', base .. 'due', 'LT', r.due, fingerprint) end
  redis.call('SET', base .. 'r:' .. fingerprint, r.packed)
end

-- Reads the records of a call, and the clock and since when the store knows what it knows. Answers those two.
function kit.read_ahead(fingerprints)
  local keys = {KEYS[1], base .. 'born'}
  for place, fingerprint in ipairs(fingerprints) do keys[place + 2] = base .. 'r:' .. fingerprint end
  local values = redis.call('MGET', unpack(keys))
  local missing = {}
  for place, fingerprint in ipairs(fingerprints) do
    local packed = values[place + 2]
    known[fingerprint] = packed
    if not packed then missing[#missing + 1] = keys[place + 2] end
  end
  -- MGET answers nothing for what is of the wrong type, too. That is no new problem: who reads it finds out.
  if #missing > 0 and redis.call('EXISTS', unpack(missing)) > 0 then known = {} end
  return values[1], values[2]
end

-- What sinks are told of a fingerprint; nil when nothing. A record that joined a storm has an object only of the
-- episode before, which ended at the latest when the new one began.
function kit.view(r)
  if not r.storm then return r end
  if r.follows == 0 then return nil end
  return {state = RESOLVED, reason = 0, count = 0, episode = r.follows, version = r.episode, last = r.episode, start = 0,
    resolve = r.resolve, follows = 0}
end

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

-- Decides whether every sink can take `member` (a fingerprint or a storm), and returns the writes that queue it from
-- `due` on. Raises when a sink that refuses is full; for what is `answered` for there is always room.
function kit.queue(member, now, due, answered)
  local open, shut = {}, {}
  for _, sink in ipairs(outbox.sinks) do
    local key = base .. 'q:' .. sink.name
    if answered or has_room(key, member) then
      open[#open + 1] = key
    elseif sink.full == 'refuse' then
      full('backlog of ' .. sink.name .. ' full')
    else
      if redis.call('ZCARD', base .. 'dead:sink/' .. sink.name) >= outbox.letters then
        full('backlog and dead letters of ' .. sink.name .. ' full')
      end
      shut[#shut + 1] = sink.name
    end
  end
  return function(record, document)
    if held then
      if document and #open > 0 then held.documents[member] = document end
      for _, key in ipairs(open) do
        add(key, due, member)
        held.counts[key] = held.counts[key] + 1
      end
    else
      if document and #open > 0 then redis.call('SET', base .. 'd:' .. member, document) end
      for _, key in ipairs(open) do redis.call('ZADD', key, 'NX', due, member) end
    end
    for _, name in ipairs(shut) do
      if not kit.bury(now, name, member, 'backlog full', record, document) then
        full('dead letters of ' .. name .. ' full')
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

-- Whether any queue of any host holds `member`.
function kit.queued(member, except)
  for _, name in ipairs(redis.call('SMEMBERS', base .. 'queues')) do
    if name ~= except and redis.call('ZSCORE', base .. 'q:' .. name, member) then return true end
  end
  return false
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
function kit.closing(storm) return math.min(storm.last + storm.quiet, storm.opened + storm.longest) end

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
  if not place or string.sub(place, 1, 1) ~= 'f' or tonumber(known) ~= episode then return nil end
  local queue = kit.queue(id, now, math.max(now, storm.announced + storm.flush), answered)
  return function()
    queue(nil, nil)
    redis.call('HSET', base .. 'n:' .. id, fingerprint, 'r' .. string.sub(place, 2))
    storm.firing, storm.version = storm.firing - 1, now
    kit.settle(storm, now)
    kit.write_storm(storm)
  end
end
