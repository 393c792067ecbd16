-- The gate. ARGV: since when the store knows what it knows; then for each signal `stride` words: fingerprint, f or r, startsAt,
-- endsAt (ms, 0 unknown), document, and the arguments of every step in order. Answers the first reading that it took; then
-- six words for each: verdict, step, episode, count, detail, and the record as it is by now, which is what has to be
-- written again if this store should lose it. Without ARGV it takes a reading and answers that. Each signal is decided and written before the next is looked at, and the fault of one is its own.
local stride = outbox.stride
if #ARGV == 0 then return {kit.take(1)} end
local count = (#ARGV - 1) / stride
if count ~= math.floor(count) or count < 1 then
  return redis.error_reply('ERR portcullis: arguments do not fit the script')
end
local first = kit.take_of(ARGV[1], count)
if not first then return redis.error_reply('EMPTIED this is not the store that was verified') end

local reply = {first}

-- The verdicts that end a signal's way. True where the writes of the steps before belong to it, false where it is turned away.
local ENDS = {accepted = true, aggregated = true, duplicate = true, resolved = true, filtered = false, ignored = false,
  ['dead-lettered'] = false}

-- Runs the steps until one gives a verdict, then the writes it left, the last step's first.
local function decide(signal, at)
  local writes = {}
  for index, step in ipairs(steps) do
    signal.step = index
    signal.arguments = {unpack(ARGV, at, at + step.arguments - 1)}
    at = at + step.arguments
    local verdict, write, detail = step.run(signal)
    if verdict == 'unavailable' then kit.fault(detail or '') end
    if verdict ~= 'pass' then
      local whole = ENDS[verdict]
      if whole == nil then kit.fault('the step says ' .. tostring(verdict) .. ', which is no verdict') end
      if verdict == 'accepted' and index < #steps then kit.fault('only the last step accepts') end
      -- A record without its place in a queue would make every repeat a duplicate of what is stored nowhere.
      local stored = verdict == 'accepted' or verdict == 'aggregated'
      if not whole or (signal.opening and not stored) then
        writes = {}
        if signal.opening then signal.record = nil end
      end
      signal.verdict = verdict
    end
    if write then writes[#writes + 1] = write end
    if verdict ~= 'pass' then break end
  end
  for index = #writes, 1, -1 do writes[index]() end
end

for place = 1, count do
  local at = 1 + (place - 1) * stride
  local signal = {
    clock = first + place - 1, fingerprint = ARGV[at + 1], firing = ARGV[at + 2] == 'f',
    starts = kit.time(ARGV[at + 3]), ends = kit.time(ARGV[at + 4]), document = ARGV[at + 5], step = 0,
    verdict = 'accepted',
  }
  local ok, fault = pcall(decide, signal, at + 6)
  local out = 1 + (place - 1) * 6
  if ok then
    local record = signal.record
    reply[out + 1], reply[out + 2], reply[out + 5] = signal.verdict, signal.step, ''
    reply[out + 3] = record and record.episode or 0
    reply[out + 4] = record and record.count or 0
    reply[out + 6] = record and record.packed or ''
  else
    local detail, step = kit.caught(fault)
    local number = signal.step
    for index, other in ipairs(steps) do
      if step and other.name == step then number = index end
    end
    -- `full` is for the sender to read; any other fault for the host.
    reply[out + 1], reply[out + 2], reply[out + 3] = step and 'full' or 'unavailable', number, 0
    reply[out + 4], reply[out + 5], reply[out + 6] = 0, detail, ''
  end
end
return reply
