-- Writes again what a host answered, into a store that may have lost it. ARGV: for each signal `outbox.restore` words:
-- fingerprint, the record as it was answered, document, and the arguments of every step. Answers for each: 1 it was missing or
-- older, and is restored with its episode; 0 the store knows as much; a text: it could not be, and why.
local stride = outbox.restore
local count = #ARGV / stride
if count ~= math.floor(count) or count < 1 then
  return redis.error_reply('ERR portcullis: arguments do not fit the script')
end

-- The clock may be behind the readings that were given out: no reading is given twice.
local highest = 0
for at = 1, #ARGV, stride do
  local ok, record = pcall(kit.unpack, ARGV[at + 1])
  if ok then highest = math.max(highest, record.moment, record.version) end
end
local clock = kit.take(highest)

local now = kit.time()

-- Whether `late` may have heard from the reporter of a word of `early` that it does not name, and the word since then says no
-- more: a reporter that was over made room in a crowded list, and the end of an episode takes the shared place along.
local function has_left(late, list, one)
  if one.hash == kit.SHARED then return late.state == kit.RESOLVED end
  return kit.is_crowded(list)
end

-- Adds to `list`, the reporters of `late`, the words of `others` that are newer: of one reporter the word of the later moment. A
-- firing whose own end has passed is none. Answers whether there were any, and whether one ends a reporter that fired.
local function unite(late, list, others)
  local changed, ended = false, false
  for _, one in ipairs(others) do
    local same, over = kit.reporter(list, one.hash), one.firing and one.due <= now
    if not same then
      if not over and not has_left(late, list, one) then
        kit.add_reporter(list, one)
        changed = true
      end
    elseif one.moment > same.moment then
      if not over or same.firing then
        ended = ended or same.firing and not one.firing
        same.firing, same.moment, same.start, same.resolve = one.firing, one.moment, one.start, one.resolve
        same.due, same.bounded, changed = one.due, one.bounded, true
      end
    elseif one.moment == same.moment and one.firing and same.firing and one.due > same.due then
      same.due, same.bounded, changed = one.due, one.bounded, true
    end
  end
  return changed, ended
end

-- Of two states of one episode, `late` the newer: it takes over the newer words of each reporter in `early`, and the later sighting.
-- Answers whether that changed `late`.
local function merge(late, early)
  local changed = early.count > late.count or early.last > late.last
  late.count, late.last = math.max(late.count, early.count), math.max(late.last, early.last)
  local list = kit.reporters(late)
  local heard, ended = unite(late, list, kit.reporters(early))
  local fires, fired = kit.fires(list, now), late.state == kit.FIRING
  if heard and fired and ended and not fires then
    late.state, late.reason, late.bounded, late.due = kit.RESOLVED, 0, 0, math.max(late.due, early.due)
    late.version, late.moment = clock, clock
    kit.over(late, now)
  elseif heard and not fired and fires then
    late.state, late.reason, late.version, late.moment = kit.FIRING, 0, clock, clock
  end
  if heard and late.state == kit.FIRING then kit.extend(late, list) end
  list = late.reporters
  if #list == 1 then
    late.start, late.reporters, late.others = list[1].start, nil, nil
    late.resolve = math.max(late.resolve, list[1].resolve)
  end
  return changed or heard
end

local function restore(fingerprint, record, document, at)
  local before = kit.read(fingerprint)
  local known = before and kit.read(fingerprint)
  local restored, told = record, false
  if known then
    local late, early = record, known
    if known.moment >= record.moment then late, early = known, record end
    local changed = false
    if late.episode == early.episode then
      changed = merge(late, early)
    else
      late.resolve = math.max(late.resolve, early.resolve)
    end
    if late == known and not changed then return 0 end
    -- A queue that had this version had it by the same call as the record: it is there, or was delivered.
    told = late.episode == before.episode and late.version == before.version
    restored = late
  end
  local writes = {}
  -- The storm of before never heard that this member's episode was over.
  if before and before.storm and before.storm ~= restored.storm and before.state == kit.FIRING then
    writes[1] = kit.leave(fingerprint, before, now, clock, true)
  end
  if kit.view(restored) and not told then
    local queue = kit.queue(fingerprint, now, now, true)
    writes[#writes + 1] = function()
      queue(restored, document ~= '' and document or nil)
      -- Its sink may have it: the next attempt is not the first.
      for _, sink in ipairs(outbox.sinks) do kit.asked(sink.name, fingerprint, 1) end
    end
  end
  for _, step in ipairs(steps) do
    if step.restore then
      local arguments = {unpack(ARGV, at, at + step.arguments - 1)}
      writes[#writes + 1] = step.restore(fingerprint, restored, arguments, clock, before)
    end
    at = at + step.arguments
  end
  for _, write in ipairs(writes) do write() end
  restored.filed = restored == known and restored.filed or 0
  kit.write(fingerprint, restored)
  kit.release()
  return 1
end

local reply = {}
for place = 1, count do
  local at = (place - 1) * stride
  local ok, result = pcall(function()
    return restore(ARGV[at + 1], kit.unpack(ARGV[at + 2]), ARGV[at + 3], at + 4)
  end)
  if not ok then kit.restart() end
  reply[place] = ok and result or (kit.caught(result))
end
return reply
