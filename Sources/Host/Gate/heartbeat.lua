-- A host's heartbeat. ARGV: the host, for how many ms it counts as alive, and the birth of the store that it verified. Answers the
-- names of the living hosts.
if redis.call('GET', kit.key('born')) ~= ARGV[3] then
  return redis.error_reply('EMPTIED this is not the store that was verified')
end
return kit.register(ARGV[1], ARGV[2])
