-- The canary: runs every command that any script runs, on keys of its own, and leaves nothing of them behind. The host
-- puts `trials`, its calls, and `trial_keys` in front of this text. ARGV: the host's name ('' when it shares its store with
-- nobody), for how many ms it is taken to be alive, and the highest and the lowest version of the store's schema that the host's
-- program reads. Answers since when the store knows what it knows; the last reading
-- of its clock; which server it was when all hosts had made good what they had answered; and who else is alive.
local failed, reason
for _, trial in ipairs(trials) do
  local reply = redis.pcall(unpack(trial))
  if type(reply) == 'table' and reply.err then
    failed, reason = trial[1], reply.err
    break
  end
end
redis.pcall('UNLINK', unpack(trial_keys))
if failed then
  -- Redis 7.0 words a refusal by ACL inside a script in its own way, 7.2 in another.
  local word = string.find(reason, 'user executing the script', 1, true) or string.find(reason, 'ACL', 1, true)
    or string.find(reason, 'NOPERM', 1, true)
  return redis.error_reply((word and 'NOPERM ' or 'ERR ') .. 'the canary failed at ' .. failed .. ': ' .. reason)
end
-- The version of all that is stored. It is raised when the program of every live session reads the new one, so that the hosts of a
-- rolling update work together in the old one.
local highest, lowest = tonumber(ARGV[3]), tonumber(ARGV[4])
local stored = redis.call('GET', kit.key('schema'))
local version = stored and (tonumber(stored) or 0) or highest
if version > highest or version < lowest then
  return redis.error_reply('SCHEMA the store has version ' .. stored .. ' of the schema, and this program reads ' .. ARGV[4] .. ' to '
    .. ARGV[3] .. ': run the program that wrote it, or one that reads both')
end
if version < highest then
  local all, sessions = true, redis.call('HGETALL', kit.key('sessions'))
  for at = 1, #sessions, 2 do
    local of = string.match(sessions[at], '^(%d+) reads$')
    if of and tonumber(sessions[at + 1]) < highest then all = false end
  end
  if all then version = highest end
end
if tonumber(stored) ~= version then redis.call('SET', kit.key('schema'), kit.text(version)) end
-- Written once, and gone with all the rest when the store is emptied.
redis.call('SET', kit.key('born'), kit.text(kit.next(kit.last())), 'NX')
local peers = ARGV[1] ~= '' and kit.register(ARGV[1], ARGV[2]) or {}
return {redis.call('GET', kit.key('born')), redis.call('GET', KEYS[1]) or '0', redis.call('GET', kit.key('settled')) or '', peers}
