-- What a host answered, written again into a store that may have lost it. ARGV: for each signal `outbox.restore` words:
-- fingerprint, the record as it was answered, document, and the arguments of every step. Answers for each: 1 it was missing or
-- older, and is restored with its episode; 0 the store knows as much; a text: it could not be, and why.
local stride = outbox.restore
local count = #ARGV / stride
if count ~= math.floor(count) or count < 1 then
  return redis.error_reply('ERR portcullis: arguments do not fit the script')
end

-- The clock may be behind what it has given out: no reading is given twice.
local highest = 0
for at = 1, #ARGV, stride do
  local ok, record = pcall(kit.unpack, ARGV[at + 1])
  if ok then highest = math.max(highest, kit.moment(record)) end
end
local clock = kit.take(highest)

local function restore(fingerprint, record, document, at, clock)
  local known = kit.read(fingerprint)
  if known and kit.moment(known) >= kit.moment(record) then return 0 end
  local writes = {}
  if known then
    record.resolve = math.max(record.resolve, known.resolve)
    -- The storm of before never heard that this member's episode was over.
    if known.storm and known.storm ~= record.storm and known.state == kit.FIRING then
      writes[1] = kit.leave(known.storm, fingerprint, known.episode, clock, true)
    end
  end
  -- A queue that had this version had it by the same call as the record: it is there, or was delivered.
  local told = known and known.episode == record.episode and known.version == record.version
  if kit.view(record) and not told then
    local queue = kit.queue(fingerprint, clock, clock, true)
    writes[#writes + 1] = function()
      queue(record, document ~= '' and document or nil)
      -- Its sink may have it: the next attempt is not the first.
      for _, sink in ipairs(outbox.sinks) do redis.call('HINCRBY', kit.key('a:', sink.name), fingerprint, 1) end
    end
  end
  for _, step in ipairs(steps) do
    if step.restore then
      local arguments = {unpack(ARGV, at, at + step.arguments - 1)}
      writes[#writes + 1] = step.restore(fingerprint, record, arguments, clock)
    end
    at = at + step.arguments
  end
  for _, write in ipairs(writes) do write() end
  record.filed = 0
  kit.write(fingerprint, record, clock)
  return 1
end

local reply = {}
for place = 1, count do
  local at = (place - 1) * stride
  local ok, result = pcall(function()
    return restore(ARGV[at + 1], kit.unpack(ARGV[at + 2]), ARGV[at + 3], at + 4, clock)
  end)
  reply[place] = ok and result or (kit.caught(result))
end
return reply
