-- A host has restored its replay buffer at a server that the hosts meet for the first time. ARGV: the server, the host, for which
-- others it waits (`all` that may exist, the `known` ones, `none` any more), and the names of the known ones. Answers 1 when the
-- server is settled, else 0, and the names of the missing hosts. Once a server is settled, signals are answered from it.
local key, hosts, settled = kit.key('replayed:', ARGV[1]), kit.key('hosts'), kit.key('settled')
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
if ARGV[3] == 'none' or (ARGV[3] == 'known' and #missing == 0) then redis.call('SET', settled, ARGV[1]) end
return {redis.call('GET', settled) == ARGV[1] and 1 or 0, missing}
