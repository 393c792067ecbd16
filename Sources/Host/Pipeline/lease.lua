-- Makes one host at a time run a source. ARGV: source, host's token, ms, 1 when the host sees all that happens. Answers
-- whether the lease is this host's, and for how many ms nobody has seen what happens; -1 when nobody ever did. The store's own
-- time counts here, not the clock, which runs ahead under load.
local name, token, ms, watching = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local KEPT = 7 * 24 * 3600000
local lease, place = kit.key('lease:', name), kit.key('src:', name)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local holder = redis.call('GET', lease)
local held = not holder or holder == token
if held then
  redis.call('SET', lease, token, 'PX', ms)
  if watching == '1' then
    redis.call('HSET', place, 'watched', string.format('%.0f', now))
    redis.call('PEXPIRE', place, KEPT)
  end
end
local watched = tonumber(redis.call('HGET', place, 'watched') or '')
return {held and 1 or 0, watched and math.max(0, now - watched) or -1}
