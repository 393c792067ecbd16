-- Storms that sinks were told of, in a store that may know an older state of them. ARGV: storm, and the highest version that a sink was
-- told, of each. A storm of a lower version is queued with one above it: the sink would take the store's state for an old one. Answers
-- for each 1 it is queued; 0 the store knows as much, or nothing of it; a text: why it could not be.
local highest = 0
for at = 2, #ARGV, 2 do highest = math.max(highest, kit.reading(ARGV[at])) end
local clock, now = kit.take(highest), kit.time()

local function restore(id, version)
  local storm = kit.storm(id)
  if not storm or storm.version >= version then return 0 end
  local queue = kit.queue(id, now, math.max(now, storm.announced + storm.flush), true)
  storm.version = clock
  queue(nil, nil)
  kit.write_storm(storm)
  kit.release()
  return 1
end

local reply = {}
for at = 1, #ARGV, 2 do
  local ok, result = pcall(restore, ARGV[at], tonumber(ARGV[at + 1]))
  if not ok then kit.restart() end
  reply[#reply + 1] = ok and result or (kit.caught(result))
end
return reply
