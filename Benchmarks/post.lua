-- For wrk: posts alerts as Prometheus sends them, alert.json with a name, a start and an end put in. Words after `--`:
--   new|repeated   whether a name is ever sent again
--   ALERTS         alerts a request
--   FINGERPRINTS   1024: names that `repeated` cycles through
--   START          the number in the first name that `new` sends; runs against one store need numbers of their own
--   RATE           0: requests/s in all; without it every connection sends again as soon as it is answered
--   SHAPE          prometheus: an array of alerts; webhook: what Alertmanager posts
-- Every name is an alertname, so a fingerprint and a storm group of its own: what is new is accepted, and joins no storm.
-- A body is put together from texts that were made before; only the number in it changes. It costs some microseconds.
local ffi = require("ffi")
ffi.cdef("struct moment { long seconds, nanoseconds; }; int clock_gettime(int, struct moment *);")
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

local number, last, width = 0, 0, 9
local pieces, places, made = {}, {}, {}

local function now() -- seconds, of the monotonic clock
  local moment = ffi.new("struct moment")
  ffi.C.clock_gettime(1, moment)
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

local function stamp(seconds) return os.date("!%Y-%m-%dT%H:%M:%S.000Z", os.time() + seconds) end

-- wrk asks for a delay before each request. Requests have a common time-table, a place every 1/RATE s; who is free takes the
-- next place, at once when its time has passed, so a pause of the server is caught up with and not left out. wrk takes the
-- latency from the sending, and adds the samples that a connection would have had while it waited (its correction for
-- coordinated omission, by the mean time between two requests of a connection): its p99 is that of senders which do not
-- wait for each other, as long as there are more connections than requests under way. A delay is whole milliseconds.
local function pace(rate)
  local start, taken = now(), 0
  function delay()
    taken = taken + 1
    return math.max(0, math.floor((start + taken / rate - now()) * 1000 + 0.5))
  end
end

function init(words)
  local kind, alerts = words[1], tonumber(words[2])
  local fingerprints, first, rate = tonumber(words[3] or 1024), tonumber(words[4] or 0), tonumber(words[5] or 0)
  local webhook = words[6] == "webhook"
  if kind == "repeated" then last = math.max(1, math.floor(fingerprints / alerts)) end
  number = first

  -- The end is far ahead, so that nothing ends by itself while it is measured; Prometheus's is four minutes ahead.
  local text = io.open(here .. "alert.json"):read("*a"):gsub("%s+$", "")
  text = text:gsub("STARTS", stamp(-60)):gsub("ENDS", stamp(6 * 3600))
  if webhook then text = text:gsub("^{", '{"status":"firing",') end
  local before, after = text:match("^(.*)NAME(.*)$")
  local head = webhook and '{"version":"4","status":"firing","receiver":"bench","externalURL":"http://alertmanager:9093",'
    .. '"groupKey":"{}","groupLabels":{},"commonLabels":{},"commonAnnotations":{},"alerts":[' or "["
  local tail = webhook and "]}" or "]"
  local letter = kind == "new" and "New" or "Repeated"
  local length = #head + #tail + alerts * (#before + #letter + width + 4 + #after) + alerts - 1
  pieces[1] = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. length .. "\r\n\r\n" .. head
  for place = 1, alerts do
    pieces[#pieces] = pieces[#pieces] .. (place > 1 and "," or "") .. before .. letter
    pieces[#pieces + 1] = ""
    places[place] = #pieces
    pieces[#pieces + 1] = string.format("x%03d", place) .. after
  end
  pieces[#pieces] = pieces[#pieces] .. tail
  if rate > 0 then pace(rate) end
end

local function make(count)
  local digits = string.format("%0" .. width .. "d", count)
  for _, place in ipairs(places) do pieces[place] = digits end
  return table.concat(pieces)
end

function request()
  local count = number
  number = number + 1
  if last == 0 then return make(count) end
  count = count % last
  if last > 1024 then return make(count) end
  made[count] = made[count] or make(count)
  return made[count]
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "max": %.3f, "status": %d, "broken": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    latency.max / 1000, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
