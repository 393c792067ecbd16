-- In front of every script. KEYS[1] is the clock; every other key has its prefix. docs/policies.md has the contract.
-- A read of the wrong type, or a value that this code did not write, raises: what can't be read vouches for nothing.
local base = string.sub(KEYS[1], 1, -6)
local kit = {}
-- What every signal needs, looked up once.
local sub, max, min, floor, ceil = string.sub, math.max, math.min, math.floor, math.ceil
local to_bytes, from_bytes = struct.pack, struct.unpack

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

-- The host passes its configuration in front of this text as `outbox`: sinks, backlog, letters, the length of the lease.
kit.outbox = outbox

-- Clock -----------------------------------------------------------------------------------------------------------

-- The reading after `last`, which is false before the first: max(TIME in ms, last + 1).
local function after(last)
  local value = last and tonumber(last) or not last and 0
  if not value or value < 0 or value ~= floor(value) then kit.fault('the clock is unreadable') end
  local time = redis.call('TIME')
  return max(time[1] * 1000 + floor(time[2] / 1000), value + 1)
end

-- Nobody reads this, or anything before it, again.
function kit.advance(reading)
  redis.call('SET', KEYS[1], string.format('%.0f', reading))
  return reading
end

-- The next reading, without taking it.
function kit.now() return after(redis.call('GET', KEYS[1])) end

-- Takes a reading: no other call will ever see it. It is above `floor`.
function kit.take(floor) return kit.advance(max(kit.now(), (floor or 0) + 1)) end

-- As `take`, after the reading that was `read` from the clock.
function kit.take_after(read) return kit.advance(after(read)) end

-- Writes ----------------------------------------------------------------------------------------------------------

-- The gate holds back what its signals write alike, and writes it with a command or two for all of them: a command costs
-- more than what it does. What reads the same keys here sees it. Nil: every write is made at once.
local held
-- Of records that were read ahead or are held back: what they are by now, packed; false when there is none.
local known = {}

function kit.hold(counts)
  held = {records = {}, order = {}, documents = {}, queues = {}, due = {}, fields = {}, lives = {}, counts = counts or {}}
end

-- What is queued for a sink whose worker has room for it is the caller's at once, as if it had claimed it: its score is the call's
-- `token`. A fraction says that nothing has counted this attempt yet. Of each queue: what was asked for, and at which places of
-- the call; and the places of what has become the caller's, a byte for each.
local handing, token = {}, nil

-- Hands over what is queued under `key` in this call.
function kit.hand_over(key, score)
  token = score
  handing[key] = {asked = {}, places = {}, seen = {}, taken = {}}
end

function kit.taken(key) return table.concat(handing[key].taken) end

-- What was in the queue already is somebody else's, or waits to be claimed.
local function handed_over(key, hand, all)
  local scores = not all and redis.call('ZMSCORE', key, unpack(hand.asked))
  for at, place in ipairs(hand.places) do
    if all or tonumber(scores[at] or '') == token then hand.taken[#hand.taken + 1] = string.char(place) end
  end
  hand.asked, hand.places = {}, {}
end

local function words(lists, key)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  return list
end

-- Queues first: a record without its place in one would make every repeat a duplicate of what is stored nowhere.
function kit.release()
  local words, at = {}, 0
  -- NX: a claimed member keeps its score; its delivery notices the new version when it is acknowledged.
  for key, members in pairs(held.queues) do
    local added = redis.call('ZADD', key, 'NX', unpack(members))
    local hand = handing[key]
    if hand and #hand.asked > 0 then handed_over(key, hand, added * 2 == #members) end
  end
  for second, entries in pairs(held.due) do
    redis.call('ZADD', base .. 'due', second, second)
    redis.call('RPUSH', base .. 'due:' .. second, unpack(entries))
  end
  for member, document in pairs(held.documents) do
    words[at + 1], words[at + 2] = base .. 'd:' .. member, document
    at = at + 2
  end
  for _, fingerprint in ipairs(held.order) do
    words[at + 1], words[at + 2] = base .. 'r:' .. fingerprint, known[fingerprint]
    at = at + 2
  end
  if at > 0 then redis.call('MSET', unpack(words)) end
  for key, values in pairs(held.fields) do
    redis.call('HSET', key, unpack(values))
    redis.call('PEXPIRE', key, held.lives[key])
  end
  kit.hold(held.counts)
end

-- Sets a field of a hash that lives for `ms` from then on.
function kit.put(key, field, value, ms)
  if not held then
    redis.call('HSET', key, field, value)
    redis.call('PEXPIRE', key, ms)
    return
  end
  local list = words(held.fields, key)
  local at = #list
  list[at + 1], list[at + 2] = field, value
  held.lives[key] = ms
end

-- Queues a member for a sink from `time` on; what may be handed over has a `place` in the call, from 0.
function kit.enqueue(key, time, member, place)
  if not held then return redis.call('ZADD', key, 'NX', time, member) end
  local list, hand = words(held.queues, key), place and handing[key]
  -- One delivery of a member at a time.
  if hand and not hand.seen[member] then
    time, hand.seen[member] = token, true
    hand.asked[#hand.asked + 1], hand.places[#hand.places + 1] = member, place
  end
  local at = #list
  list[at + 1], list[at + 2] = time, member
end

-- Due -------------------------------------------------------------------------------------------------------------

-- What ends by itself is in a list for the second in which the sweeper looks at it, `due:<second>`; the sorted set `due` has those
-- seconds. A list, because a place in a sorted set takes as much memory as all that is known of a problem besides.

-- The second for what is due then: some seconds late when that is far away, so that few lists are long; and an hour ahead at most,
-- so that none keeps much of what ended long before.
function kit.second(due, now)
  local left = min(due - now, 3600000)
  local step = left >= 1024000 and 16 or left >= 256000 and 4 or 1
  return ceil((now + left) / 1000 / step) * step
end

function kit.file(entry, second)
  if held then
    local list = words(held.due, second)
    list[#list + 1] = entry
  else
    redis.call('ZADD', base .. 'due', second, second)
    redis.call('RPUSH', base .. 'due:' .. second, entry)
  end
end

-- Records ---------------------------------------------------------------------------------------------------------

local FIRING, RESOLVED = 1, 2
kit.FIRING, kit.RESOLVED = FIRING, RESOLVED
-- How an episode ended by itself: 0 it did not, 1 expired, 2 forgotten.
kit.EXPIRED, kit.FORGOTTEN = 1, 2
local FORMAT = '<BBBBI4I6I6I6I6I6I6I6I6I4'
local SIZE = 60
local STORM = 22

-- Into a table of before when there is one: to make one costs as much as all the rest.
function kit.unpack(packed, into)
  if #packed ~= SIZE and #packed ~= SIZE + STORM then kit.fault('a record is unreadable') end
  local r, format = into or {}
  format, r.state, r.reason, r.bounded, r.count, r.episode, r.version, r.last, r.start, r.resolve, r.due, r.announced,
    r.follows, r.filed = from_bytes(FORMAT, packed)
  if format ~= 2 or (r.state ~= FIRING and r.state ~= RESOLVED) then kit.fault('a record is unreadable') end
  r.storm = #packed > SIZE and sub(packed, SIZE + 1) or nil
  r.packed = packed
  return r
end

-- When it was last changed or sighted: of two states of one record the later is the newer.
function kit.moment(r) return max(r.version, r.last) end

function kit.pack(r)
  return to_bytes(FORMAT, 2, r.state, r.reason, r.bounded, min(r.count, 4294967295), r.episode, r.version,
    r.last, r.start, r.resolve, r.due, r.announced, r.follows, r.filed) .. (r.storm or '')
end

function kit.read(fingerprint, into)
  local packed = known[fingerprint]
  if packed == nil then packed = redis.call('GET', base .. 'r:' .. fingerprint) end
  return packed and kit.unpack(packed, into)
end

-- `filed` is the second of the list that the sweeper finds it in, 0 when in none. It is only ever too early: what ends later than
-- it did is filed anew when its list is looked at. What another list has of it counts for nothing.
--
-- Without `now` the record has just changed, or was seen.
function kit.write(fingerprint, r, now)
  local filed = r.filed
  if filed == 0 or r.due < filed * 1000 then
    local second = kit.second(r.due, now or kit.moment(r))
    if filed == 0 or second < filed then
      kit.file(fingerprint, second)
      r.filed = second
    end
  end
  r.packed = kit.pack(r)
  if not held then return redis.call('SET', base .. 'r:' .. fingerprint, r.packed) end
  if not held.records[fingerprint] then held.order[#held.order + 1] = fingerprint end
  held.records[fingerprint], known[fingerprint] = true, r.packed
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
  return {state = RESOLVED, reason = 0, bounded = 0, count = 0, episode = r.follows, version = r.episode, last = r.episode,
    start = 0, resolve = r.resolve, due = 0, announced = 0, follows = 0, filed = 0}
end
