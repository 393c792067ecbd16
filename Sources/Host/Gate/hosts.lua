-- In front of the scripts that register a host.

-- Registers a host as alive for `ms`, by the server's own time. Answers the names of the living hosts, 100 at most.
function kit.register(host, ms)
  local hosts, now = kit.key('hosts'), kit.time()
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', hosts, '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', hosts, name)
  end
  redis.call('ZADD', hosts, now + tonumber(ms), host)
  return redis.call('ZRANGEBYSCORE', hosts, now, '+inf', 'LIMIT', 0, 100)
end
