-- Writes down how far a source has come. ARGV: source, host's token, part, checkpoint or nothing; then keys with values that
-- it will ask for again. Answers 0, and does nothing, when the lease is not this host's. A token alone gives the lease back.
local name, token, part, checkpoint = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local KEPT, SLOT = 7 * 24 * 3600000, 3600000
local lease, place = kit.key('lease:', name), kit.key('src:', name)
if redis.call('GET', lease) ~= token then return 0 end
if not part then return redis.call('DEL', lease) end
if checkpoint ~= '' then
  redis.call('HSET', place, 'at:' .. part, checkpoint)
  redis.call('PEXPIRE', place, KEPT)
end
if #ARGV > 4 then
  local seen = kit.key('seen:', name .. ':' .. math.floor(redis.call('TIME')[1] * 1000 / SLOT))
  for at = 5, #ARGV, 2 do redis.call('HSET', seen, ARGV[at], ARGV[at + 1]) end
  -- Asked for in its own hour and the two after it.
  redis.call('PEXPIRE', seen, 3 * SLOT)
end
return 1
