-- ARGV: sink, member, token, back-off in ms. Answers 1; 0 when the claim was lost.
local queue, member = kit.key('q:', ARGV[1]), ARGV[2]
local score = redis.call('ZSCORE', queue, member)
if not score or tonumber(score) ~= tonumber(ARGV[3]) then return 0 end
-- One that was handed over is counted now.
if tonumber(score) % 1 ~= 0 then redis.call('HINCRBY', kit.key('a:', ARGV[1]), member, 1) end
redis.call('ZADD', queue, 'XX', kit.now() + tonumber(ARGV[4]), member)
return 1
