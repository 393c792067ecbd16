-- Items of a request that could not be read. ARGV: 1 for items that were answered for already, else 0; then origin, place,
-- reason, item, for each. Answers 1 for each that is stored, 0 for each that found no room.
local now, answered = kit.time(), ARGV[1] == '1'
local reply = {}
for at = 2, #ARGV, 4 do
  local stored = kit.letter(now, ARGV[at], ARGV[at + 3], ARGV[at + 2], {'kind', 'adapter', 'index', ARGV[at + 1]}, answered)
  reply[#reply + 1] = stored and 1 or 0
end
return reply
