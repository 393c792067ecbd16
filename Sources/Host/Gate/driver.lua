-- The gate. ARGV: since when the store knows what it knows; then for each signal `stride` words: a header (0 resolved or 1
-- firing, startsAt, endsAt in ms, 0 unknown, and the fingerprint: `<BI6I6` and 32 bytes), the document, and the arguments of every
-- step in order. Answers the first reading that it took, and for each signal verdict, step, and how many bytes follow (`<BBI2`):
-- the record as it is by now, which has the episode and its count, and is what has to be written again if this store should
-- lose it; for `full` and `unavailable`, why. Without ARGV it takes a reading and answers that. Each signal is decided
-- before the next is looked at, and the fault of one is its own.
local stride = outbox.stride
if #ARGV == 0 then return {kit.take(1)} end
local count = (#ARGV - 1) / stride
if count ~= math.floor(count) or count < 1 then
  return redis.error_reply('ERR portcullis: arguments do not fit the script')
end
local fingerprints = {}
for place = 1, count do fingerprints[place] = string.sub(ARGV[2 + (place - 1) * stride], 14) end
local clock, born = kit.read_ahead(fingerprints)
if not clock or born ~= ARGV[1] then return redis.error_reply('EMPTIED this is not the store that was verified') end
local first = kit.take_after(clock, count)
kit.hold()

-- As the host reads them.
local CODES = {accepted = 1, aggregated = 2, duplicate = 3, resolved = 4, filtered = 5, ignored = 6, ['dead-lettered'] = 7}
local FULL, UNAVAILABLE = 8, 9
-- The verdicts that end a signal's way. True where the writes of the steps before belong to it, false where it is turned away.
local ENDS = {accepted = true, aggregated = true, duplicate = true, resolved = true, filtered = false, ignored = false,
  ['dead-lettered'] = false}
local NONE = {}

-- One table for all: to make one costs as much as to decide a repeat.
local signal = {clock = 0, fingerprint = '', firing = false, starts = 0, ends = 0, document = '', step = 0, verdict = '',
  arguments = NONE, record = nil, opening = nil}
local reply, out, place, heads = {}, 0, 0, {}

local function answer(code, step, rest)
  local length = #rest
  local kind = (code * 256 + step) * 65536 + length
  local head = heads[kind]
  if not head then
    head = string.char(code, step, length % 256, math.floor(length / 256))
    heads[kind] = head
  end
  reply[out + 1], reply[out + 2] = head, rest
  out = out + 2
end

-- Runs the steps until one gives a verdict, then the writes it left, the last step's first.
local function decide(at)
  local writes
  for index, step in ipairs(steps) do
    signal.step = index
    if step.arguments > 0 then
      signal.arguments = {unpack(ARGV, at, at + step.arguments - 1)}
      at = at + step.arguments
    else
      signal.arguments = NONE
    end
    local verdict, write, detail = step.run(signal)
    if verdict ~= 'pass' then
      if verdict == 'unavailable' then kit.fault(detail or '') end
      local whole = ENDS[verdict]
      if whole == nil then kit.fault('the step says ' .. tostring(verdict) .. ', which is no verdict') end
      if verdict == 'accepted' and index < #steps then kit.fault('only the last step accepts') end
      -- A record without its place in a queue would make every repeat a duplicate of what is stored nowhere.
      if not whole or (signal.opening and verdict ~= 'accepted' and verdict ~= 'aggregated') then
        writes = nil
        if signal.opening then signal.record = nil end
      end
      signal.verdict = verdict
      if write then write() end
      if writes then
        for index = #writes, 1, -1 do writes[index]() end
      end
      return
    end
    if write then
      writes = writes or {}
      writes[#writes + 1] = write
    end
  end
  if writes then
    for index = #writes, 1, -1 do writes[index]() end
  end
end

local function run()
  while place < count do
    local at = 2 + place * stride
    place = place + 1
    local firing, starts, ends = struct.unpack('<BI6I6', ARGV[at])
    signal.clock, signal.fingerprint, signal.document = first + place - 1, fingerprints[place], ARGV[at + 1]
    signal.firing, signal.starts, signal.ends = firing == 1, starts, ends
    signal.step, signal.verdict, signal.record, signal.opening = 0, 'accepted', nil, nil
    decide(at + 2)
    local record = signal.record
    answer(CODES[signal.verdict], signal.step, record and record.packed or '')
  end
end

while place < count do
  local ok, fault = pcall(run)
  if not ok then
    local detail, step = kit.caught(fault)
    local number = signal.step
    for index, other in ipairs(steps) do
      if step and other.name == step then number = index end
    end
    -- `full` is for the sender to read; any other fault for the host.
    answer(step and FULL or UNAVAILABLE, number, string.sub(detail, 1, 60000))
  end
end
kit.release()
return {first, table.concat(reply)}
