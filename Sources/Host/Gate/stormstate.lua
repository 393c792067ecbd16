-- Behind outbox.lua: storms as the store keeps them.

kit.FAR = 8000000000000000

-- format 1, state, total, firing; readings: opened, version; ms: began, last, announced; ms: flush, quiet, longest; listed, dead letters
-- that speak of it; then the group as JSON. One text, so that it is written together with the records of its members.
local STORM_FORMAT = '<BBI4I4I7I7I6I6I6I4I4I4I4I4'
local STORM_SIZE = 62
local STATES = {'open', 'closed', 'resolved'}
local NUMBERS = {open = 1, closed = 2, resolved = 3}

-- Nil when there is no such storm.
function kit.storm(id)
  local packed = held.storms[id] or kit.releasing and kit.releasing.storms[id]
  if not packed then
    packed = redis.call('GET', base .. 's:' .. id)
    if not packed then return nil end
    existed[id] = true
  end
  if #packed < STORM_SIZE then kit.fault('a storm is unreadable') end
  local s, format, state = {id = id}
  format, state, s.total, s.firing, s.opened, s.version, s.began, s.last, s.announced, s.flush, s.quiet, s.longest, s.listed,
    s.buried = from_bytes(STORM_FORMAT, packed)
  s.state = format == 1 and STATES[state] or kit.fault('a storm is unreadable')
  s.group = sub(packed, STORM_SIZE + 1)
  return s
end

local function pack_storm(s)
  return to_bytes(STORM_FORMAT, 1, NUMBERS[s.state], min(s.total, 4294967295), max(s.firing, 0), s.opened, s.version, s.began,
    s.last, s.announced, s.flush, s.quiet, s.longest, s.listed, max(s.buried, 0)) .. s.group
end

-- When it stops growing, unless members come.
function kit.closing(storm) return min(storm.last + storm.quiet, storm.began + storm.longest) end

function kit.write_storm(storm) held.storms[storm.id] = pack_storm(storm) end

-- So many more dead letters speak of the storm.
function kit.buried(id, more)
  local storm = kit.storm(id)
  if not storm then return end
  storm.buried = storm.buried + more
  local writes = kit.releasing
  if writes and writes.storms[id] then
    writes.storms[id] = pack_storm(storm)
  else
    redis.call('SET', base .. 's:' .. id, pack_storm(storm))
  end
end

-- Made at once, behind a claim: the storm is told now.
function kit.announce(storm, now)
  storm.announced = now
  redis.call('SET', base .. 's:' .. storm.id, pack_storm(storm))
end

-- A storm that no longer grows and has no firing member is over.
function kit.settle(storm, now)
  if storm.state == 'closed' and storm.firing <= 0 then
    storm.state = 'resolved'
    kit.index(base .. 'ended', now, storm.id)
    kit.unindex(base .. 'storms', storm.id)
  end
end

-- The episode of `record`, which fires as a member of the storm, ended: decides, and returns the writes; nil when the storm is gone.
function kit.leave(fingerprint, record, now, clock, answered)
  local id = record.storm
  local storm = kit.storm(id)
  if not storm then return nil end
  local summary = kit.entry_of(base .. 'n:' .. id, fingerprint)
  local queue = kit.queue(id, now, max(now, storm.announced + storm.flush), answered)
  return function()
    -- Another member of the call may have changed it since.
    storm = kit.storm(id)
    queue(nil, nil)
    if summary then kit.entry(base .. 'n:' .. id, fingerprint, 'r' .. sub(summary, 2)) end
    storm.firing, storm.version = storm.firing - 1, clock
    kit.settle(storm, now)
    kit.write_storm(storm)
  end
end
