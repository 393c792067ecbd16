-- The gate. ARGV: since when the store knows what it knows; for which sinks the host takes new episodes, `kit.offered`; then words
-- of headers: 0 resolved, 1 firing or 2 firing and no more than this, startsAt, endsAt in ms, 0 unknown, the reporter's hash, and the
-- fingerprint: `<BI6I6I4` and 32 bytes. A 2 stands for a problem that the host takes for known, and any number of these share a
-- word. After one that starts with 0 or 1 come the document and the arguments of every step in order.
-- Answers the last reading given out, and for each signal verdict, step, and how many bytes follow (`<BBI2`): the record as it is now,
-- which has the episode and its count, and which the host writes again if this store loses it; for `full` and `unavailable`,
-- why; nothing for `again`: it has to be asked again, with its document. When capacity was offered, for each of those sinks the places of
-- the signals follow that the host has to deliver.
-- With one argument it takes a reading above that one and answers it. Each signal is decided before the next is looked at, and
-- the fault of one is its own.
if #ARGV == 1 then return {kit.take(kit.reading(ARGV[1]))} end
local HEADER, KNOWN = 49, 2
local fingerprints, count, unread = {}, 0, 3
-- Of each signal: which word has its header, and where in it.
local words, starts = {}, {}
while unread <= #ARGV do
  local word = ARGV[unread]
  for at = 1, #word, HEADER do
    count = count + 1
    fingerprints[count], words[count], starts[count] = sub(word, at + 17, at + 48), unread, at
  end
  unread = unread + (string.byte(word) == KNOWN and 1 or outbox.stride)
end
if count == 0 or unread ~= #ARGV + 1 or #fingerprints[count] ~= 32 then
  return redis.error_reply('ERR portcullis: arguments do not fit the script')
end
local clock, born = kit.read_ahead(fingerprints)
if not clock or born ~= ARGV[1] then return redis.error_reply('EMPTIED this is not the store that was verified') end
local stamp = kit.reading(clock)
-- A call that changes something takes one reading for all its signals, and a further one for each change of a problem that the
-- call has changed already. A sighting that changes nothing is stamped with the last reading given out.
local first = kit.next(stamp)
local last, changes, reply, out, place
local offered = kit.offered(ARGV[2])

-- As the host reads them.
local CODES = {accepted = 1, aggregated = 2, duplicate = 3, resolved = 4, filtered = 5, ignored = 6, ['dead-lettered'] = 7}
local FULL, UNAVAILABLE, AGAIN = 8, 9, 10
-- The verdicts that end a signal's way. True where the writes of the steps before belong to it, false where it is turned away.
local ENDS = {accepted = true, aggregated = true, duplicate = true, resolved = true, filtered = false, ignored = false,
  ['dead-lettered'] = false}
local NONE = {}

-- One table for all: to make one costs as much as to decide a repeat.
local signal = {clock = 0, time = kit.time(), stamp = stamp, fingerprint = '', firing = false, starts = 0, ends = 0, reporter = 0,
  known = false, document = '', step = 0, verdict = '', arguments = NONE, record = nil, opening = nil, place = 0}
local heads = {}

local function answer(code, step, rest)
  local length = #rest
  local kind = (code * 256 + step) * 65536 + length
  local head = heads[kind]
  if not head then
    head = string.char(code, step, length % 256, floor(length / 256))
    heads[kind] = head
  end
  reply[out + 1], reply[out + 2] = head, rest
  out = out + 2
end

-- An argument of the running step, of every signal of the call that has any: what they need is read together.
function kit.column(number)
  local skip, column = 1 + number, {}
  for index = 1, signal.step - 1 do skip = skip + steps[index].arguments end
  for place = 1, count do
    local at = words[place]
    if string.byte(ARGV[at]) ~= KNOWN then column[#column + 1] = ARGV[at + skip] end
  end
  return column
end

-- Of the signal that is decided: the writes that its steps have left, and whether they are being made.
local writes, writing = {}, false

-- Runs the steps until one gives a verdict, then the writes they left, the last step's first. Answers whether it is decided: not
-- when it takes more than is there of a problem that was taken for known.
local function decide(at)
  local left = 0
  for index = 1, #steps do
    local step = steps[index]
    signal.step = index
    if step.arguments > 0 then
      local given = step.given
      for place = 1, step.arguments do given[place] = ARGV[at + place - 1] end
      signal.arguments = given
      at = at + step.arguments
    else
      signal.arguments = NONE
    end
    local verdict, write, detail = step.run(signal)
    if signal.known and verdict ~= 'duplicate' then return false end
    if verdict ~= 'pass' then
      if verdict == 'unavailable' then kit.fault(detail or '') end
      local whole = ENDS[verdict]
      if whole == nil then kit.fault('the step says ' .. tostring(verdict) .. ', which is no verdict') end
      if verdict == 'accepted' and index < #steps then kit.fault('only the last step accepts') end
      -- A record without its place in a queue would make every repeat a duplicate of what is stored nowhere.
      if not whole or (signal.opening and verdict ~= 'accepted' and verdict ~= 'aggregated') then
        left = 0
        if signal.opening then signal.record = nil end
      end
      signal.verdict, writing = verdict, true
      if write then write() end
      for place = left, 1, -1 do writes[place]() end
      return true
    end
    if write then
      left = left + 1
      writes[left] = write
    end
  end
  writing = true
  for place = left, 1, -1 do writes[place]() end
  return true
end

-- Fingerprints to be asked again: what comes later of one of these waits for its turn.
local again
-- Of signals whose writes failed: code, step, why.
local failed = {}

local function decide_next()
  place = place + 1
  local at, fingerprint = words[place], fingerprints[place]
  local kind, from, to, reporter = from_bytes('<BI6I6I4', ARGV[at], starts[place])
  signal.clock, signal.fingerprint, signal.reporter = first + (changes[fingerprint] or 0), fingerprint, reporter
  signal.document = kind ~= KNOWN and ARGV[at + 1] or nil
  signal.firing, signal.known, signal.starts, signal.ends = kind ~= 0, kind == KNOWN, from, to
  signal.step, signal.verdict, signal.record, signal.opening, signal.place = 0, 'accepted', nil, nil, place - 1
  writing = false
  local failure = failed[place]
  if failure then
    answer(failure[1], failure[2], failure[3])
  elseif again[fingerprint] or not decide(at + 2) then
    again[fingerprint] = true
    answer(AGAIN, signal.step, '')
  else
    local record = signal.record
    if not record or record.moment == signal.clock then
      last = max(last, signal.clock)
      changes[fingerprint] = (changes[fingerprint] or 0) + 1
    end
    answer(CODES[signal.verdict], signal.step, record and record.packed or '')
  end
end

local function begin() last, changes, reply, out, place, again = stamp, {}, {}, 0, 0, {} end

local function run()
  while place < count do decide_next() end
end

begin()
while place < count do
  local ok, fault = pcall(run)
  if not ok then
    local detail, step = kit.caught(fault)
    local number = signal.step
    for index, other in ipairs(steps) do
      if step and other.name == step then number = index end
    end
    -- `full` is for the sender to read; any other fault for the host.
    local code, why = step and FULL or UNAVAILABLE, sub(detail, 1, 60000)
    if writing then
      -- Some of its writes are held. Nothing is written yet, so all is decided again, without this one.
      failed[place] = {code, number, why}
      kit.restart()
      kit.read_ahead(fingerprints)
      for _, key in ipairs(offered) do kit.dispatch(key) end
      begin()
    else
      answer(code, number, why)
    end
  end
end
-- Also when it stays: a call that writes nothing is answered by a demoted master, too.
kit.advance(last)
kit.release()
local answers = {last, table.concat(reply)}
for _, key in ipairs(offered) do answers[#answers + 1] = kit.dispatched(key) end
return answers
