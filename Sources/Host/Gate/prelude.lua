-- The first part of every script. KEYS[1] is the clock; every other key has its prefix. docs/policies.md has the contract.
-- A read of the wrong type raises, and so does a value that these scripts did not write: nothing is confirmed from it.
local base = string.sub(KEYS[1], 1, -6)
local kit = {}
-- Looked up once: every signal needs them.
local sub, max, min, floor, ceil = string.sub, math.max, math.min, math.floor, math.ceil
local to_bytes, from_bytes = struct.pack, struct.unpack

-- Raises. `step` names the policy to blame when it is not the running one, and says that `detail` is for the
-- sender. Scripts raise in no other way: Redis 7.0 ends its own process when a table without `err` leaves a
-- script, and its pcall hands on only `err`, so that field holds both.
function kit.fault(detail, step)
  error({err = 'ERR portcullis ' .. (step or '') .. ': ' .. detail})
end

-- The text of a caught error, and the step to blame.
function kit.caught(fault)
  if type(fault) == 'table' then fault = fault.err end
  local step, detail = string.match(tostring(fault), '^ERR portcullis ([^:]*): (.*)$')
  if not step then return tostring(fault) end
  return detail, step ~= '' and step or nil
end

function kit.key(family, name) return base .. family .. (name or '') end

-- The host passes its configuration in front of this text as `outbox`: sinks, backlog, letters.
kit.outbox = outbox

-- A whole number as text. Lua's own conversion rounds after 14 digits, and a reading has 16.
function kit.text(number) return string.format('%.0f', number) end

-- Time and clock --------------------------------------------------------------------------------------------------

local micros
-- The server's time in µs, one for the whole script. The host passes `read_time` in front of this text.
local function server_time()
  micros = micros or read_time()
  return micros
end

-- The server's time in ms, one for the whole script. Due times, ends and windows go by it.
function kit.time() return floor(server_time() / 1000) end

-- A number is exact up to here.
local HIGHEST = 9007199254740991

-- The reading that was stored as `text`; 0 before the first, which is false.
function kit.reading(text)
  if not text then return 0 end
  local value = tonumber(text)
  if not value or value < 0 or value ~= floor(value) or value >= HIGHEST then kit.fault('the clock is unreadable') end
  return value
end

-- The last reading given out.
function kit.last() return kit.reading(redis.call('GET', KEYS[1])) end

-- The reading after `last`: the server's time in µs, unless the clock is ahead of it. It is not taken yet.
function kit.next(last) return max(server_time(), last + 1) end

-- Stores that `reading` was given out: no other call gets it, or one below it.
function kit.advance(reading)
  redis.call('SET', KEYS[1], kit.text(reading))
  return reading
end

-- Takes the next reading, which is above `floor`. `last` is the last reading when the caller has read it.
function kit.take(floor, last) return kit.advance(max(kit.next(last or kit.last()), (floor or 0) + 1)) end
