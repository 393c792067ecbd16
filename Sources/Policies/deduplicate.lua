-- Repeats of known problems stop here. Every row of the table in docs/policies.md is one branch.
return function(settings, kit)
  -- A minute: by how much a sender's clock may be ahead of the store's, and how long after its own end a record ends.
  local GRACE = 60000

  -- A start, or a past end, of further ahead is no time at all. Kept, it would stand above every true one
  -- for as long as the fingerprint is known. Nearer ones stay as they are: a sender's times agree with each other, and they tell a late
  -- retry.
  local function past(time, now) return time <= now + GRACE and time or 0 end

  -- When a firing signal ends by itself: its own end with a minute's grace, or the retention. And whether it is its own.
  local function own_end(signal)
    if signal.ends > signal.time then return signal.ends + GRACE, 1 end
    return signal.time + settings.retention, 0
  end

  local function heard_of(signal, firing, start, resolve)
    local due, bounded = signal.time, 0
    if firing then due, bounded = own_end(signal) end
    return {hash = signal.reporter, firing = firing, moment = signal.clock, start = start, resolve = resolve, due = due,
      bounded = bounded}
  end

  -- Whether the record speaks of this reporter alone.
  local function alone(signal, record) return not record.others and record.reporter == signal.reporter end

  -- A new record and its write, made once for all signals of a call: one is written before the next is looked at.
  local new, opening = {state = kit.FIRING, reason = 0}, nil
  local function write_new() kit.write(opening.fingerprint, new) end

  local function open(signal, before)
    local now, clock = signal.time, signal.clock
    new.count, new.episode, new.version, new.moment = 1, clock, clock, clock
    new.last, new.announced, new.start, new.resolve, new.filed = now, now, signal.starts, 0, 0
    new.own, new.ended, new.counted, new.ended_reason = 0, 0, 0, 0
    new.reporter, new.reporters, new.others, new.storm, new.packed = signal.reporter, nil, nil, nil, nil
    new.due, new.bounded = own_end(signal)
    if before then
      new.filed = before.filed
      if before.storm then
        new.own, new.ended, new.counted, new.ended_reason = before.own, before.ended, before.counted, before.ended_reason
      elseif before.episode > 0 then
        new.own, new.ended, new.counted, new.ended_reason = before.episode, before.version, before.count, before.reason
      end
      if alone(signal, before) then
        new.resolve = before.resolve
      else
        kit.over(before, now)
        local list = kit.reporters(before)
        local one = kit.reporter(list, signal.reporter)
        if one then
          one.firing, one.moment, one.start, one.due, one.bounded = true, clock, signal.starts, new.due, new.bounded
        else
          kit.add_reporter(list, heard_of(signal, true, signal.starts, 0))
        end
        new.reporters, new.resolve = list, before.resolve
      end
    end
    signal.record, signal.opening, opening = new, true, signal
    return 'pass', write_new
  end

  -- Sinks hear of a grown count now and then.
  local function announce(signal, record)
    if record.storm or signal.time - record.announced < settings.update_every then return nil end
    -- A count is worth telling, not worth refusing for.
    local room, writes = pcall(kit.queue, signal.fingerprint, signal.time, signal.time, false, true)
    if room then
      record.announced, record.version, record.moment = signal.time, signal.clock, signal.clock
      return writes
    end
    local detail, step = kit.caught(writes)
    if not step then kit.fault(detail) end
  end

  -- Of a reporter that fires, or of the only one: it says so again. A start that is not after its last end belongs to the episode
  -- before: a late retry does not make this one older, or the retry of that end would end it.
  local function repeats(signal, one)
    if signal.starts > one.resolve and (one.start == 0 or signal.starts < one.start) then one.start = signal.starts end
    one.due, one.bounded = own_end(signal)
  end

  -- Whether a firing is a late retry of one that the same reporter has ended: `ended` is when that was heard.
  local function late(signal, resolve, ended)
    return signal.starts > 0 and signal.starts <= resolve and signal.time - ended < settings.late
  end

  local function repeated(signal, record)
    local changed = false
    if alone(signal, record) then
      repeats(signal, record)
    else
      local list = kit.reporters(record)
      local one = kit.reporter(list, signal.reporter)
      if not one then
        kit.add_reporter(list, heard_of(signal, true, signal.starts, 0))
        changed = true
      elseif one.firing then
        repeats(signal, one)
        one.moment = max(one.moment, signal.stamp)
      else
        if late(signal, one.resolve, one.due) then return 'duplicate' end
        one.firing, one.moment, one.start = true, signal.clock, signal.starts
        one.due, one.bounded = own_end(signal)
        changed = true
      end
      kit.extend(record, list)
    end
    record.count, record.last = record.count + 1, signal.time
    record.moment = changed and signal.clock or max(record.moment, signal.stamp)
    local opened = record.announced
    local queue = announce(signal, record)
    -- Sinks are told with a document.
    if signal.known and record.announced ~= opened then return 'again' end
    return 'duplicate', function()
      if queue then queue(record, signal.document) end
      kit.write(signal.fingerprint, record)
    end
  end

  -- The last reporter's end: the episode is over.
  local function finish(signal, record, at)
    record.state, record.reason, record.version, record.moment = kit.RESOLVED, 0, signal.clock, signal.clock
    record.last, record.resolve, record.due = signal.time, max(record.resolve, at), signal.time + settings.cooldown
    kit.over(record, signal.time)
    local leave, queue
    if record.storm then
      leave = kit.leave(signal.fingerprint, record, signal.time, signal.clock)
    else
      queue = kit.queue(signal.fingerprint, signal.time, signal.time)
    end
    return 'resolved', function()
      if queue then queue(record, signal.document) end
      if leave then leave() end
      kit.write(signal.fingerprint, record)
    end
  end

  local function noted(signal, record)
    record.moment, record.last = signal.clock, signal.time
    return 'duplicate', function() kit.write(signal.fingerprint, record) end
  end

  -- A resolved signal of a problem that fires.
  local function ended(signal, record)
    local at = signal.ends > 0 and signal.ends or signal.time
    if alone(signal, record) then
      if signal.ends > 0 and (signal.ends < record.start or signal.ends <= record.resolve) then return 'duplicate' end
      return finish(signal, record, at)
    end
    local list = kit.reporters(record)
    local one = kit.reporter(list, signal.reporter)
    if one and signal.ends > 0 and ((one.firing and signal.ends < one.start) or signal.ends <= one.resolve) then
      return 'duplicate'
    end
    local said = not one or one.firing
    if one then
      one.firing, one.moment, one.bounded = false, signal.clock, 0
      one.resolve, one.due = max(one.resolve, at), signal.time
    else
      kit.add_reporter(list, heard_of(signal, false, 0, at))
    end
    -- Another reporter still says that it fires, or it ended by itself and the sweeper will say so.
    if not said or kit.fires(list, signal.time) then
      kit.extend(record, list)
      return noted(signal, record)
    end
    return finish(signal, record, at)
  end

  -- A resolved signal of a problem that is over: a later end is remembered, so that a late retry of the firing before it is told from news.
  local function ended_again(signal, record)
    signal.record = record
    if alone(signal, record) then
      if signal.ends <= record.resolve then return 'duplicate' end
    else
      local list = kit.reporters(record)
      local one = kit.reporter(list, signal.reporter)
      if signal.ends <= (one and one.resolve or 0) then return 'duplicate' end
      if one then
        one.moment, one.resolve, one.due = signal.clock, signal.ends, signal.time
      else
        kit.add_reporter(list, heard_of(signal, false, 0, signal.ends))
      end
    end
    record.resolve = max(record.resolve, signal.ends)
    return noted(signal, record)
  end

  -- The end of a problem that was never seen firing. The sinks are told: one may still hold an object of before the store was lost.
  local function ignored(signal)
    local now, clock = signal.time, signal.clock
    local record = {state = kit.RESOLVED, reason = 0, bounded = 0, count = 0, episode = 0, version = clock, moment = clock, own = 0,
      last = now, start = 0, resolve = signal.ends > 0 and signal.ends or now, due = now + settings.cooldown, announced = now,
      filed = 0, reporter = signal.reporter}
    local queue = kit.queue(signal.fingerprint, now, now)
    signal.record = record
    return 'ignored', function()
      kit.tally('missed_firing')
      queue(record, signal.document)
      kit.write(signal.fingerprint, record)
    end
  end

  -- A firing signal of a problem that is over.
  local function fires_again(signal, record)
    local resolve, heard = record.resolve, record.due - settings.cooldown
    if not alone(signal, record) then
      local one = kit.reporter(kit.reporters(record), signal.reporter)
      resolve, heard = one and one.resolve or 0, one and one.due or 0
    end
    if not late(signal, resolve, heard) then return open(signal, record) end
    signal.record = record
    return 'duplicate'
  end

  -- Of the signal that is decided.
  local space = {}

  return function(signal)
    signal.starts = past(signal.starts, signal.time)
    if not signal.firing then signal.ends = past(signal.ends, signal.time) end
    local record = kit.read(signal.fingerprint, space)
    if not record then
      if signal.firing then return open(signal) end
      return ignored(signal)
    end
    if record.state ~= kit.FIRING then
      if signal.firing then return fires_again(signal, record) end
      return ended_again(signal, record)
    end
    signal.record = record
    if signal.firing then return repeated(signal, record) end
    return ended(signal, record)
  end
end
