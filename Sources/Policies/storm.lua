-- Many new problems of one group become one. Arguments: group (16 bytes), target (8 bytes, empty without one), the
-- group and the member as JSON.
--
-- A group's window is `W`, two bytes with the number of times, those times (the last rate_count ones), and the last
-- time of each recent target. It is a field of a hash, `g:<number>`, of which there is one for each stretch of time that is as long as a
-- window: what was written neither in this stretch nor in the one before is in no window any more, and goes as a whole. The hash
-- `open` has the last storm of each group, until it is closed. A storm's id is the group and the reading at its opening, six bytes,
-- the highest first.
return function(settings, kit)
  local STRETCH = max(settings.rate_per, settings.spread_per)
  local open = kit.key('open')
  -- Of each group of the call: its window, and its storm.
  local current, windows, storms

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
    current, windows, storms = this, {}, {}
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
      redis.call('HDEL', open, counted_group)
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

  -- Of two storms of a group the later opened is the one that grows.
  local function opened(id, group, named, now)
    redis.call('HSET', kit.key('s:', id), 'opened', now, 'group', named, 'flush', settings.flush, 'quiet',
      settings.quiet, 'longest', settings.longest, 'listed', settings.list_members)
    local other = redis.call('HGET', open, group)
    -- Not by the ids as texts, which are in the order of somebody's language.
    if not other or from_bytes('>I6', other, 17) < from_bytes('>I6', id, 17) then redis.call('HSET', open, group, id) end
  end

  local function new(id, now)
    return {id = id, state = 'open', opened = now, last = now, total = 0, firing = 0, version = now, announced = 0,
      flush = settings.flush, quiet = settings.quiet, longest = settings.longest}
  end

  local function join(signal, storm, opening)
    local now, fingerprint = signal.clock, signal.fingerprint
    local member = redis.call('HGET', kit.key('n:', storm.id), fingerprint)
    local queue = kit.queue(storm.id, now, max(now, storm.announced + storm.flush))
    storm.last, storm.version, storm.firing = now, now, storm.firing + 1
    if not member then
      storm.total = storm.total + 1
    elseif sub(member, 1, 1) == 'f' then
      storm.firing = storm.firing - 1
    end
    signal.record.storm = storm.id
    return 'aggregated', function()
      queue(nil, nil)
      redis.call('ZADD', kit.key('m:', storm.id), signal.record.episode, fingerprint)
      redis.call('HSET', kit.key('n:', storm.id), fingerprint, 'f' .. signal.arguments[4])
      kit.write_storm(storm)
      if opening then
        local group = signal.arguments[1]
        opened(storm.id, group, signal.arguments[3], now)
        storms[group] = storm.id
        keep(group, '')
        redis.call('ZADD', kit.key('storms'), kit.closing(storm), storm.id)
      end
    end
  end

  -- A member as it was answered, of a storm that the store may have lost. A storm that ended without it is not over.
  local function restore(fingerprint, record, arguments, clock)
    local id = record.storm
    if not id then return nil end
    local storm = kit.storm(id)
    local opening = not storm
    if opening then
      local at = 0
      for place = #id - 5, #id do at = at * 256 + string.byte(id, place) end
      if (arguments[3] or '') == '' then kit.fault('a member without its group') end
      storm = new(id, at)
    end
    storm.last = max(storm.last, record.episode)
    local member = redis.call('HGET', kit.key('n:', id), fingerprint)
    local episode = tonumber(redis.call('ZSCORE', kit.key('m:', id), fingerprint) or '0')
    if member and episode > record.episode then return nil end
    local queue = kit.queue(id, clock, max(clock, storm.announced + storm.flush), true)
    local firing = record.state == kit.FIRING
    if not member then storm.total = storm.total + 1 end
    storm.firing = storm.firing + (firing and 1 or 0) - (member and sub(member, 1, 1) == 'f' and 1 or 0)
    storm.version = clock
    local ended = storm.state == 'resolved' and firing
    if ended then storm.state = 'closed' end
    return function()
      queue(nil, nil)
      redis.call('ZADD', kit.key('m:', id), record.episode, fingerprint)
      redis.call('HSET', kit.key('n:', id), fingerprint, (firing and 'f' or 'r') .. arguments[4])
      if opening then
        opened(id, arguments[1], arguments[3], storm.opened)
        kit.put(kit.key('g:', floor(clock / STRETCH)), arguments[1], '', 2 * STRETCH)
        redis.call('ZADD', kit.key('storms'), kit.closing(storm), id)
      elseif ended then
        redis.call('ZREM', kit.key('ended'), id)
        redis.call('ZADD', kit.key('storms'), kit.FAR, id)
      end
      kit.settle(storm, clock)
      kit.write_storm(storm)
    end
  end

  return function(signal)
    local now, group, target = signal.clock, signal.arguments[1], signal.arguments[2]
    if not windows then look(now) end
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
      id = group .. string.char(floor(now / 1099511627776) % 256, floor(now / 4294967296) % 256,
        floor(now / 16777216) % 256, floor(now / 65536) % 256, floor(now / 256) % 256, now % 256)
      return join(signal, new(id, now), true)
    end
    counted_group = group
    return 'pass', write_count
  end, restore
end
