-- A host has made good what it had answered, on a server that the hosts meet for the first time. ARGV: the server, the host,
-- 1 when it waits for nobody any more, and whom it knew. Answers who is missing: the server is settled when nobody is.
local key, hosts = kit.key('replayed:', ARGV[1]), kit.key('hosts')
redis.call('SADD', key, ARGV[2])
redis.call('PEXPIRE', key, 600000)
local done, missing = {}, {}
for _, name in ipairs(redis.call('SMEMBERS', key)) do done[name] = true end
local function look(name)
  if not done[name] then missing[#missing + 1], done[name] = name, true end
end
for at = 4, #ARGV do look(ARGV[at]) end
local now = kit.time()
for _, name in ipairs(redis.call('ZRANGEBYSCORE', hosts, now, '+inf', 'LIMIT', 0, 100)) do look(name) end
if #missing == 0 or ARGV[3] == '1' then redis.call('SET', kit.key('settled'), ARGV[1]) end
return missing
