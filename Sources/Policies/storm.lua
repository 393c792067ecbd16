-- Many new problems of one group become one. Arguments: group (16 bytes), target (8 bytes, empty without one), the
-- group and the member as JSON.
--
-- A group's window is `W`, two bytes with the number of times, those times (the last rate_count ones), and the last
-- time of each recent target. It is a field of a hash, `g:<number>`, of which there is one for each stretch of time that is as long as a
-- window: what was written neither in this stretch nor in the one before is in no window any more, and goes as a whole. The hash
-- `open` has the last storm of each group, until it is closed. A storm's id is the group and the reading at its opening, seven
-- bytes, the highest first. Windows hold the server's time in ms.
return function(settings, kit)
  local STRETCH = max(settings.rate_per, settings.spread_per)
  local open = kit.key('open')
  -- Of each group of the call: its window, and its storm; and of which round of the call that is.
  local current, windows, storms, round

  -- The first signal that comes here reads for all. A window that has become a storm is empty.
  local function look(now)
    local number, groups, seen = floor(now / STRETCH), {}, {}
    for _, group in ipairs(kit.column(1)) do
      if not seen[group] then groups[#groups + 1] = group end
      seen[group] = true
    end
    local this, before = kit.key('g:', number), kit.key('g:', number - 1)
    local ids = redis.call('HMGET', open, unpack(groups))
    local new, old = redis.call('HMGET', this, unpack(groups)), redis.call('HMGET', before, unpack(groups))
    -- In the background, should there be many.
    redis.call('UNLINK', kit.key('g:', number - 2))
    current, windows, storms, round = this, {}, {}, kit.round
    for place, group in ipairs(groups) do
      local window, id = new[place] or old[place], ids[place]
      if window then windows[group] = window end
      if id then storms[group] = id end
    end
  end

  local function keep(group, window)
    windows[group] = window
    kit.put(current, group, window, 2 * STRETCH)
  end

  -- The write of a signal that opens no storm; made once for all of a call.
  local counted, counted_group, over
  local function write_count()
    keep(counted_group, counted)
    if over then
      kit.unlist(open, counted_group)
      storms[counted_group] = nil
    end
  end

  -- A time's bytes, and the windows of nothing else: without a target, and in front of one.
  local spanned, bytes, alone, before_target
  local function span(time)
    if time ~= spanned then
      spanned, bytes = time, to_bytes('<I6', time)
      alone = 'W\1\0' .. bytes
      before_target = alone .. bytes
    end
    return bytes
  end

  -- The window with one more episode in it; and whether that crosses a line.
  local function count(window, now, target)
    if not window or window == '' then
      span(now)
      return target == '' and alone or before_target .. target, false
    end
    if sub(window, 1, 1) ~= 'W' or #window < 3 then kit.fault('a storm window is unreadable') end
    local length = from_bytes('<I2', window, 2) * 6
    local times, targets = sub(window, 4, 3 + length), sub(window, 4 + length)
    if #times ~= length or #targets % 14 ~= 0 then kit.fault('a storm window is unreadable') end
    local crossed = false
    local most = settings.rate_count * 6
    if #times > most then times = sub(times, -most) end
    if #times == most then
      crossed = from_bytes('<I6', times) > now - settings.rate_per
      times = sub(times, 7)
    end
    times = times .. span(now)
    if target ~= '' then
      local kept, others = {}, 0
      for at = 1, #targets, 14 do
        if sub(targets, at + 6, at + 13) ~= target
          and from_bytes('<I6', targets, at) > now - settings.spread_per then
          kept[#kept + 1] = sub(targets, at, at + 13)
          others = others + 1
        end
      end
      if others >= settings.spread_targets then
        crossed = true
        kept = {unpack(kept, others - settings.spread_targets + 2)}
      end
      kept[#kept + 1] = span(now) .. target
      targets = table.concat(kept)
    end
    return 'W' .. to_bytes('<I2', #times / 6) .. times .. targets, crossed
  end

  -- The reading at which a storm was opened, as its id has it.
  local function opening_of(id) return from_bytes('>I7', id, 17) end

  -- Of two storms of a group the later opened is the one that grows.
  local function opened(id, group)
    local other = kit.entry_of(open, group)
    -- Not by the ids as texts, whose order depends on the locale.
    if not other or opening_of(other) < opening_of(id) then kit.entry(open, group, id) end
  end

  local function new(id, reading, time, named)
    return {id = id, state = 'open', total = 0, firing = 0, opened = reading, version = reading, began = time, last = time,
      announced = 0, flush = settings.flush, quiet = settings.quiet, longest = settings.longest, listed = settings.list_members,
      buried = 0, group = named}
  end

  local function join(signal, storm, opening)
    local now, fingerprint, id = signal.time, signal.fingerprint, storm.id
    local seen = kit.entry_of(kit.key('n:', id), fingerprint)
    local queue = kit.queue(id, now, max(now, storm.announced + storm.flush))
    storm.last, storm.version, storm.firing = now, signal.clock, storm.firing + 1
    if not seen then storm.total = storm.total + 1 end
    signal.record.storm = id
    return 'aggregated', function()
      kit.index(kit.key('m:', id), signal.record.episode, fingerprint)
      kit.entry(kit.key('n:', id), fingerprint, 'f' .. signal.arguments[4])
      if opening then
        local group = signal.arguments[1]
        opened(id, group)
        storms[group] = id
        keep(group, '')
        kit.index(kit.key('storms'), kit.closing(storm), id)
      end
      queue(nil, nil)
      kit.write_storm(storm)
    end
  end

  -- A member as it was answered, of a storm that the store may have lost. `before` is the record that the store has. A storm that
  -- ended without this member is not over.
  local function restore(fingerprint, record, arguments, clock, before)
    local id = record.storm
    if not id then return nil end
    local now = kit.time()
    local storm = kit.storm(id)
    local opening = not storm
    if opening then
      if (arguments[3] or '') == '' then kit.fault('a member without its group') end
      local reading = opening_of(id)
      -- Readings may be ahead of the time, by which a storm ends; the member's last sighting is not.
      storm = new(id, reading, min(floor(reading / 1000), record.last), arguments[3])
    end
    local queue = kit.queue(id, now, max(now, storm.announced + storm.flush), true)
    local seen = kit.entry_of(kit.key('n:', id), fingerprint)
    local counted = before and before.storm == id
    local firing = record.state == kit.FIRING
    storm.last = max(storm.last, min(floor(record.episode / 1000), record.last))
    if not counted and not seen then storm.total = storm.total + 1 end
    storm.firing = storm.firing + (firing and 1 or 0) - (counted and before.state == kit.FIRING and 1 or 0)
    storm.version = clock
    local ended = storm.state == 'resolved' and firing
    if ended then storm.state = 'closed' end
    return function()
      kit.index(kit.key('m:', id), record.episode, fingerprint)
      kit.entry(kit.key('n:', id), fingerprint, (firing and 'f' or 'r') .. arguments[4])
      if opening then
        opened(id, arguments[1])
        kit.put(kit.key('g:', kit.text(floor(now / STRETCH))), arguments[1], '', 2 * STRETCH)
        kit.index(kit.key('storms'), kit.closing(storm), id)
      elseif ended then
        kit.unindex(kit.key('ended'), id)
        kit.index(kit.key('storms'), kit.FAR, id)
      end
      queue(nil, nil)
      kit.settle(storm, now)
      kit.write_storm(storm)
    end
  end

  return function(signal)
    local now, group, target = signal.time, signal.arguments[1], signal.arguments[2]
    if round ~= kit.round then look(now) end
    local id = storms[group]
    over = false
    if id then
      local storm = kit.storm(id)
      if storm and storm.state == 'open' and now < kit.closing(storm) then return join(signal, storm) end
      -- Mostly the sweeper has seen to that. One that is open may be made to grow again by what is restored.
      over = not storm or storm.state ~= 'open'
    end
    local crossed
    counted, crossed = count(windows[group], now, target)
    if crossed then
      id = group .. to_bytes('>I7', signal.clock)
      return join(signal, new(id, signal.clock, now, signal.arguments[3]), true)
    end
    counted_group = group
    return 'pass', write_count
  end, restore
end
