-- Items of a request that could not be read. ARGV: 1 for items that were answered for already, else 0; then for each: origin, its
-- identity, place, reason, item, when it was received (ms), and of an item that was cut its size and its digest. Answers 1 for each that
-- is stored, 0 for each that found no room.
local now, answered = kit.time(), ARGV[1] == '1'
local reply = {}
for at = 2, #ARGV, 8 do
  local fields = {'kind', 'adapter', 'index', ARGV[at + 2], 'received', ARGV[at + 5], 'size', ARGV[at + 6], 'digest', ARGV[at + 7]}
  local stored = kit.letter(now, ARGV[at], ARGV[at + 4], ARGV[at + 3], fields, answered, ARGV[at + 1])
  reply[#reply + 1] = stored and 1 or 0
end
return reply
