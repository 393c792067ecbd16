-- Drops dead letters. ARGV: letter, or '' with an origin and the most to drop. Answers how many were dropped, entries of
-- the index without a letter among them: fewer than the most means that nothing is left.
local ids, dropped = {ARGV[1]}, 0
if ARGV[1] == '' then ids = redis.call('ZRANGE', kit.key('dead:', ARGV[2]), 0, tonumber(ARGV[3]) - 1) end
for _, id in ipairs(ids) do
  local key = kit.key('l:', id)
  local h = redis.call('HMGET', key, 'origin', 'kind', 'member')
  if h[1] then
    if h[2] == 'sink' and h[3] and #h[3] ~= 32 then kit.buried(h[3], -1) end
    kit.delete_letter(h[1], id)
    dropped = dropped + 1
  elseif ARGV[1] == '' then
    redis.call('ZREM', kit.key('dead:', ARGV[2]), id)
    dropped = dropped + 1
  end
end
return dropped
