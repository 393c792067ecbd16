-- Behind writes.lua: records, and the lists by which the sweeper finds them.

-- Due -------------------------------------------------------------------------------------------------------------

-- A record that ends by itself is in a list for the second in which the sweeper looks at it, `due:<second>`; the sorted set `due`
-- has those seconds. A list, because a place in a sorted set takes as much memory as the rest of a record.

-- The second for `due`: some seconds late when that is far away, so that few lists are long; and an hour ahead at most,
-- so that none keeps many records that ended long before.
function kit.second(due, now)
  local left = min(due - now, 3600000)
  local step = left >= 1024000 and 16 or left >= 256000 and 4 or 1
  return ceil((now + left) / 1000 / step) * step
end

function kit.file(entry, second)
  local list = held.due[second]
  if not list then
    list = {}
    held.due[second] = list
  end
  list[#list + 1] = entry
end

-- Records ---------------------------------------------------------------------------------------------------------

local FIRING, RESOLVED = 1, 2
kit.FIRING, kit.RESOLVED = FIRING, RESOLVED
-- How an episode ended by itself: 0 it did not, 1 expired, 2 forgotten.
kit.EXPIRED, kit.FORGOTTEN = 1, 2
-- format 3, state, reason, flags, count; readings: episode, version, moment, own; ms: last, start, resolve, due, announced; s: filed;
-- reporter. PackedRecord.swift reads it too; a test holds the two together.
--
-- `moment` is the reading of the last change, or the last reading given out at the last sighting: it orders two states of a record.
-- `own` is the last episode before this one that had an object of its own, 0 when there was none.
local FORMAT = '<BBBBI4I7I7I7I7I6I6I6I6I6I4I4'
local SIZE = 74
-- Of a member: its storm (23 bytes); of the episode `own` the version, count and reason of its end.
local MEMBER = '<I7I4B'
local STORM, MEMBERSHIP = 23, 35
-- Flags.
local BOUNDED, MEMBERS = 1, 2
-- Of each reporter, when there is more than one: hash, state; reading: moment; ms: start, resolve, due.
local REPORTER = '<I4BI7I6I6I6'
local REPORTER_SIZE = 30

-- Into a table of before when there is one: to make one costs as much as all the rest.
function kit.unpack(packed, into)
  local size = #packed
  if size < SIZE then kit.fault('a record is unreadable') end
  local r, format, flags = into or {}
  format, r.state, r.reason, flags, r.count, r.episode, r.version, r.moment, r.own, r.last, r.start, r.resolve, r.due, r.announced,
    r.filed, r.reporter = from_bytes(FORMAT, packed)
  if format ~= 3 or (r.state ~= FIRING and r.state ~= RESOLVED) then kit.fault('a record is unreadable') end
  r.bounded, r.storm, r.reporters = flags % 2, nil, nil
  if flags >= MEMBERS then
    if size < SIZE + MEMBERSHIP then kit.fault('a record is unreadable') end
    r.storm = sub(packed, SIZE + 1, SIZE + STORM)
    r.ended, r.counted, r.ended_reason = from_bytes(MEMBER, packed, SIZE + STORM + 1)
    r.others = size > SIZE + MEMBERSHIP and sub(packed, SIZE + MEMBERSHIP + 1)
  else
    r.others = size > SIZE and sub(packed, SIZE + 1)
  end
  if r.others and #r.others % REPORTER_SIZE ~= 0 then kit.fault('a record is unreadable') end
  r.packed = packed
  return r
end

-- Orders two states of one record: the later is the newer.
function kit.moment(r) return r.moment end

function kit.pack(r)
  local flags = r.bounded + (r.storm and MEMBERS or 0)
  local packed = to_bytes(FORMAT, 3, r.state, r.reason, flags, min(r.count, 4294967295), r.episode, r.version, r.moment, r.own,
    r.last, r.start, r.resolve, r.due, r.announced, r.filed, r.reporter)
  if r.storm then packed = packed .. r.storm .. to_bytes(MEMBER, r.ended, r.counted, r.ended_reason) end
  if r.reporters then
    local words = {packed}
    for place, one in ipairs(r.reporters) do
      words[place + 1] = to_bytes(REPORTER, one.hash, (one.firing and 1 or 0) + 2 * one.bounded, one.moment, one.start,
        one.resolve, one.due)
    end
    packed = table.concat(words)
  elseif r.others then
    packed = packed .. r.others
  end
  return packed
end

function kit.read(fingerprint, into)
  local packed = known[fingerprint]
  if packed == nil then
    packed = redis.call('GET', base .. 'r:' .. fingerprint)
    known[fingerprint] = packed
    if packed then existed[fingerprint] = true end
  end
  return packed and kit.unpack(packed, into)
end

-- `filed` is the second of the list that the sweeper finds it in, 0 when in none. It is only ever too early: a record that ends later
-- is filed anew when its list is looked at. An entry of another list counts for nothing.
function kit.write(fingerprint, r)
  local filed = r.filed
  if filed == 0 or r.due < filed * 1000 then
    local second = kit.second(r.due, kit.time())
    if filed == 0 or second < filed then
      kit.file(fingerprint, second)
      r.filed = second
    end
  end
  r.packed = kit.pack(r)
  if not held.records[fingerprint] then held.order[#held.order + 1] = fingerprint end
  held.records[fingerprint], known[fingerprint] = true, r.packed
end

-- Reads the records of a call, and the clock and since when the store knows what it knows. Answers those two as they are stored.
function kit.read_ahead(fingerprints)
  local keys = {KEYS[1], base .. 'born', base .. 'unqueued'}
  for place, fingerprint in ipairs(fingerprints) do keys[place + 3] = base .. 'r:' .. fingerprint end
  local values = redis.call('MGET', unpack(keys))
  kit.requeue(values[3])
  local missing = {}
  for place, fingerprint in ipairs(fingerprints) do
    local packed = values[place + 3]
    known[fingerprint] = packed
    if packed then existed[fingerprint] = true else missing[#missing + 1] = keys[place + 3] end
  end
  -- MGET answers nothing for a key of the wrong type, too. That is no new problem: the read of the one record finds out.
  if #missing > 0 and redis.call('EXISTS', unpack(missing)) > 0 then known = {} end
  return values[1], values[2]
end

-- The episode that sinks are told of; nil when there is none. A member of a storm has an object only of the last episode
-- before it that had one, which has ended.
function kit.view(r)
  if not r.storm then return r end
  if r.own == 0 then return nil end
  return {state = RESOLVED, reason = r.ended_reason, bounded = 0, count = r.counted, episode = r.own, version = r.ended,
    moment = r.ended, own = 0, last = min(floor(r.ended / 1000), kit.time()), start = 0, resolve = r.resolve, due = 0, announced = 0, filed = 0,
    reporter = 0}
end

-- Reporters -------------------------------------------------------------------------------------------------------

-- Each reporter of a problem has its own words: DESIGN.md section 4. A hash of 0 stands for a sender that reports no ends, and 1
-- for the place that those share who find none of their own.
kit.NO_REPORTER, kit.SHARED = 0, 1
-- Of one record.
local MOST_REPORTERS = 8

-- The reporters of a record: hash, whether it fires, moment, start, resolve, due (firing: when that ends by itself; else when its end
-- was heard), bounded. A record with a single one keeps that in its own fields. `moment` orders two words of one reporter as a record's
-- moment orders two states of it: an end by time is a word too.
function kit.reporters(r)
  if r.reporters then return r.reporters end
  local list = {}
  if r.others then
    for at = 1, #r.others, REPORTER_SIZE do
      local one, flags = {}
      one.hash, flags, one.moment, one.start, one.resolve, one.due = from_bytes(REPORTER, r.others, at)
      one.firing, one.bounded = flags % 2 == 1, floor(flags / 2)
      list[#list + 1] = one
    end
  else
    local firing = r.state == FIRING
    list[1] = {hash = r.reporter, firing = firing, moment = r.moment, start = r.start, resolve = r.resolve,
      due = firing and r.due or r.last, bounded = firing and r.bounded or 0}
  end
  r.reporters = list
  return list
end

function kit.reporter(list, hash)
  for _, one in ipairs(list) do
    if one.hash == hash then return one end
  end
end

-- Whether a new reporter finds no place. Until then none has made room.
function kit.is_crowded(list) return #list - (kit.reporter(list, kit.SHARED) and 1 or 0) >= MOST_REPORTERS end

-- Adds a reporter. When all places are taken, the one that was over first makes room; when eight fire, the new one shares a place that ends by time.
function kit.add_reporter(list, one)
  local oldest
  for place, other in ipairs(list) do
    if other.hash ~= kit.SHARED and not other.firing and (not oldest or other.due < list[oldest].due) then oldest = place end
  end
  if one.hash == kit.SHARED or not kit.is_crowded(list) then
    list[#list + 1] = one
  elseif oldest then
    list[oldest] = one
  elseif one.firing then
    local shared = kit.reporter(list, kit.SHARED)
    if not shared then
      shared = {hash = kit.SHARED, firing = true, moment = 0, start = 0, resolve = 0, due = 0, bounded = 0}
      list[#list + 1] = shared
    end
    shared.moment = max(shared.moment, one.moment)
    if one.due > shared.due then shared.due, shared.bounded = one.due, one.bounded end
  end
end

-- Whether somebody who reports ends still says that it fires.
function kit.fires(list, now)
  for _, one in ipairs(list) do
    if one.firing and one.hash ~= kit.NO_REPORTER and one.due > now then return true end
  end
  return false
end

-- A firing record ends with the latest of its reporters.
function kit.extend(r, list)
  r.due, r.bounded = 0, 0
  for _, one in ipairs(list) do
    if one.firing and one.due > r.due then r.due, r.bounded = one.due, one.bounded end
  end
end

-- The episode of the record is over for all, since its moment. The shared place goes.
function kit.over(r, now)
  if not r.others and not r.reporters then return end
  local list, left = kit.reporters(r), {}
  for _, one in ipairs(list) do
    if one.firing then one.firing, one.moment, one.due, one.bounded = false, r.moment, now, 0 end
    if one.hash ~= kit.SHARED then left[#left + 1] = one end
  end
  r.reporters = left
end
