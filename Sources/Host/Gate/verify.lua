-- The canary: runs every command that any script runs, on keys of its own, and leaves nothing of them behind. A test holds
-- this list against the scripts. ARGV: the host's name ('' when it shares its store with nobody), and for how many ms it is
-- taken to be alive. Answers since when the store knows what it knows; the last reading of its clock; which server
-- it was when all hosts had made good what they had answered; and who else is alive.
local function at(name) return kit.key('canary:', name) end
local calls = {
  {'TIME'}, {'SET', at('string'), '1', 'PX', 60000}, {'GET', at('string')}, {'MGET', at('string')},
  {'MSET', at('string'), '1'},
  {'EXISTS', at('string')},
  {'HSET', at('hash'), 'field', 1}, {'HGET', at('hash'), 'field'}, {'HMGET', at('hash'), 'field'},
  {'HGETALL', at('hash')}, {'HINCRBY', at('hash'), 'field', 1}, {'PEXPIRE', at('hash'), 60000},
  {'HDEL', at('hash'), 'field'},
  {'SADD', at('set'), 'member'}, {'SMEMBERS', at('set')}, {'SREM', at('set'), 'member'},
  {'ZADD', at('sorted'), 'LT', 1, 'member'}, {'ZCARD', at('sorted')}, {'ZSCORE', at('sorted'), 'member'}, {'ZMSCORE', at('sorted'), 'member'},
  {'ZCOUNT', at('sorted'), '-inf', '+inf'}, {'ZRANGE', at('sorted'), 0, 0}, {'ZREVRANGE', at('sorted'), 0, 0},
  {'ZRANGEBYSCORE', at('sorted'), '-inf', '+inf', 'LIMIT', 0, 1}, {'ZREM', at('sorted'), 'member'},
  {'ZUNIONSTORE', at('sorted'), 1, at('sorted'), 'AGGREGATE', 'MIN'},
  {'DEL', at('list')}, {'RPUSH', at('list'), 'entry'}, {'LRANGE', at('list'), 0, 0}, {'LTRIM', at('list'), 1, -1},
  {'DEL', at('string'), at('hash')}, {'UNLINK', at('set'), at('sorted'), at('list')},
}
for _, call in ipairs(calls) do
  local reply = redis.pcall(unpack(call))
  if type(reply) == 'table' and reply.err then
    -- Redis 7.0 words a refusal by ACL inside a script in its own way, 7.2 in another.
    local word = string.find(reply.err, 'user executing the script', 1, true) or string.find(reply.err, 'ACL', 1, true)
      or string.find(reply.err, 'NOPERM', 1, true)
    return redis.error_reply((word and 'NOPERM ' or 'ERR ') .. 'the canary failed at ' .. call[1] .. ': ' .. reply.err)
  end
end
-- Written once, and gone with all the rest when the store is emptied.
redis.call('SET', kit.key('born'), kit.text(kit.next(kit.last())), 'NX')
local peers = ARGV[1] ~= '' and kit.register(ARGV[1], ARGV[2]) or {}
return {redis.call('GET', kit.key('born')), redis.call('GET', KEYS[1]) or '0', redis.call('GET', kit.key('settled')) or '', peers}
