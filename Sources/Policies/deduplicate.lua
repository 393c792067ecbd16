-- Known problems stop here. Every row of the table in docs/policies.md is one branch.
return function(settings, kit)
  -- A minute: by how much a sender's clock may be ahead of the store's, and how long after its own word a record ends.
  local GRACE = 60000

  -- A start, or an end that is told as past, of further ahead is no time at all. Kept, it would stand above every true one
  -- for as long as the fingerprint is known. Nearer ones stay as they are: a sender's times agree with each other, and a late
  -- retry is told by them.
  local function past(time, clock) return time <= clock + GRACE and time or 0 end

  -- When a firing record ends by itself: the sender's own word, with a minute's grace, or the retention.
  local function extend(record, signal)
    if signal.ends > signal.clock then
      record.due, record.bounded = signal.ends + GRACE, 1
    else
      record.due, record.bounded = signal.clock + settings.retention, 0
    end
  end

  -- A new record and its write, made once for all signals of a call: one is written before the next is looked at.
  local new, opening = {state = kit.FIRING, reason = 0, count = 1}, nil
  local function write_new() kit.write(opening.fingerprint, new) end

  local function open(signal, before)
    local now = signal.clock
    new.episode, new.version, new.last, new.announced, new.start = now, now, now, now, signal.starts
    new.resolve, new.follows, new.filed = 0, 0, 0
    if before then new.resolve, new.follows, new.filed = before.resolve, before.episode, before.filed end
    new.storm, new.packed = nil, nil
    extend(new, signal)
    signal.record, signal.opening, opening = new, true, signal
    return 'pass', write_new
  end

  local function repeated(signal, record)
    record.count, record.last = record.count + 1, signal.clock
    -- A start that is not after the last end belongs to the episode before: a late retry does not make this one older,
    -- or the retry of that end would end it.
    if signal.starts > record.resolve and (record.start == 0 or signal.starts < record.start) then
      record.start = signal.starts
    end
    extend(record, signal)
    local queue
    if not record.storm and signal.clock - record.announced >= settings.update_every then
      -- What sinks are told has a document.
      if signal.known then return 'again' end
      -- A count is worth telling, not worth refusing for.
      local room, writes = pcall(kit.queue, signal.fingerprint, signal.clock, signal.clock)
      if room then
        queue, record.announced, record.version = writes, signal.clock, signal.clock
      else
        local detail, step = kit.caught(writes)
        if not step then kit.fault(detail) end
      end
    end
    return 'duplicate', function()
      if queue then queue(record, signal.document) end
      kit.write(signal.fingerprint, record)
    end
  end

  local function ended(signal, record)
    local at = signal.ends > 0 and signal.ends or signal.clock
    if signal.ends > 0 and (signal.ends < record.start or signal.ends <= record.resolve) then return 'duplicate' end
    record.state, record.version, record.last = kit.RESOLVED, signal.clock, signal.clock
    record.resolve, record.due = max(record.resolve, at), signal.clock + settings.cooldown
    local leave, queue
    if record.storm then
      leave = kit.leave(record.storm, signal.fingerprint, record.episode, signal.clock)
    else
      queue = kit.queue(signal.fingerprint, signal.clock, signal.clock)
    end
    return 'resolved', function()
      if queue then queue(record, signal.document) end
      if leave then leave() end
      kit.write(signal.fingerprint, record)
    end
  end

  -- The end of something that was never seen. The sinks are told: one may still hold an object of before the store was lost.
  local function ignored(signal)
    local record = {state = kit.RESOLVED, reason = 0, bounded = 0, count = 0, episode = 0, version = signal.clock,
      last = signal.clock, start = 0, resolve = signal.ends > 0 and signal.ends or signal.clock,
      due = signal.clock + settings.cooldown, announced = signal.clock, follows = 0, filed = 0}
    local queue = kit.queue(signal.fingerprint, signal.clock, signal.clock)
    signal.record = record
    return 'ignored', function()
      redis.call('HINCRBY', kit.key('counters'), 'missed_firing', 1)
      queue(record, signal.document)
      kit.write(signal.fingerprint, record)
    end
  end

  -- Of the signal that is decided.
  local known = {}

  return function(signal)
    signal.starts = past(signal.starts, signal.clock)
    if not signal.firing then signal.ends = past(signal.ends, signal.clock) end
    local record = kit.read(signal.fingerprint, known)
    if not record then
      if signal.firing then return open(signal) end
      return ignored(signal)
    end
    if record.state == kit.FIRING then
      signal.record = record
      if signal.firing then return repeated(signal, record) end
      return ended(signal, record)
    end
    if signal.firing then
      local late = signal.clock - record.version < settings.late
      if not (late and signal.starts > 0 and signal.starts <= record.resolve) then return open(signal, record) end
      signal.record = record
      return 'duplicate'
    end
    signal.record = record
    if signal.ends <= record.resolve then return 'duplicate' end
    -- A later end of the same: a late retry of a firing before it is as old as one before the first.
    -- It was seen now, or a replay would take the state before for as new.
    record.resolve, record.last = signal.ends, signal.clock
    return 'duplicate', function() kit.write(signal.fingerprint, record) end
  end
end
