-- What may have been handed over to a host that never heard of it is due at once. ARGV: sink; then number of the call, member of each.
-- Another host's, that the sender told of it meanwhile, has another number, or nearly always: so it counts as tried.
local queue = kit.key('q:', ARGV[1])
local due = {}
for at = 2, #ARGV, 2 do
  local score = tonumber(redis.call('ZSCORE', queue, ARGV[at + 1]) or '')
  if score and score % 1 ~= 0 and score % 1 * 2048 == tonumber(ARGV[at]) then due[#due + 1] = ARGV[at + 1] end
end
local now = kit.now()
for _, member in ipairs(due) do
  redis.call('ZADD', queue, 'XX', now, member)
  redis.call('HINCRBY', kit.key('a:', ARGV[1]), member, 1)
end
return #due
