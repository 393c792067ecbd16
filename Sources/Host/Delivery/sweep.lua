-- Ends what is due by itself, a bounded number of each. ARGV: most, cooldown in ms. Any host runs it, as often as it
-- likes. Answers whether there may be more, whether anything was queued, and the first fault.
local most, cooldown = tonumber(ARGV[1]), tonumber(ARGV[2])
local KEPT, AGAIN = 3600000, 60000
local due, storms, ended = kit.key('due'), kit.key('storms'), kit.key('ended')

local function upto(key, time)
  return redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', time), 'LIMIT', 0, most)
end

local now = kit.now()
local records, closing, over = upto(due, now), upto(storms, now), upto(ended, now - KEPT)
if #records + #closing + #over == 0 then return {0, 0, ''} end
local clock = kit.take(#records + #closing) - 1
local queued, fault = 0, ''

local function finish(fingerprint, record, at)
  local reason = record.bounded == 1 and kit.EXPIRED or kit.FORGOTTEN
  record.state, record.reason, record.version, record.due = kit.RESOLVED, reason, at, at + cooldown
  local writes
  if record.storm then
    writes = kit.leave(record.storm, fingerprint, record.episode, at)
  else
    local queue = kit.queue(fingerprint, at, at)
    writes = function() queue(record, nil) end
  end
  if writes then writes() end
  redis.call('HINCRBY', kit.key('counters'), reason == kit.EXPIRED and 'expired' or 'forgotten', 1)
  redis.call('ZADD', due, record.due, fingerprint)
  kit.write(fingerprint, record, false)
  queued = 1
end

local function look(fingerprint, at)
  local record = kit.read(fingerprint)
  if not record then
    redis.call('ZREM', due, fingerprint)
  elseif record.due > at then
    redis.call('ZADD', due, record.due, fingerprint)
  elseif record.state == kit.FIRING then
    finish(fingerprint, record, at)
  elseif kit.queued(fingerprint) then
    redis.call('ZADD', due, at + AGAIN, fingerprint)
  else
    redis.call('DEL', kit.key('r:', fingerprint), kit.key('d:', fingerprint))
    kit.forget(fingerprint)
    redis.call('ZREM', due, fingerprint)
  end
end

local function close(id, at)
  local storm = kit.storm(id)
  if not storm then
    redis.call('ZREM', storms, id)
  elseif storm.state ~= 'open' then
    redis.call('ZADD', storms, kit.FAR, id)
  elseif kit.closing(storm) > at then
    redis.call('ZADD', storms, kit.closing(storm), id)
  else
    local queue = kit.queue(id, at, math.max(at, storm.announced + storm.flush))
    storm.state, storm.version = 'closed', at
    queue(nil, nil)
    redis.call('ZADD', storms, kit.FAR, id)
    kit.settle(storm, at)
    kit.write_storm(storm)
    local window = redis.call('HGET', kit.key('s:', id), 'window')
    if window and redis.call('GET', window) == 'S' .. id then redis.call('DEL', window) end
    queued = 1
  end
end

local function forget(id)
  local buried = tonumber(redis.call('HGET', kit.key('s:', id), 'buried') or '0') or 0
  if buried > 0 or kit.queued(id) then
    redis.call('ZADD', ended, now - KEPT + AGAIN, id)
  else
    redis.call('UNLINK', kit.key('s:', id), kit.key('m:', id), kit.key('n:', id))
    kit.forget(id)
    redis.call('ZREM', ended, id)
  end
end

local function each(members, index, again, step)
  for _, member in ipairs(members) do
    clock = clock + 1
    local ok, why = pcall(step, member, clock)
    if not ok then
      -- A full queue has room later; what can't be read may have been mended.
      redis.call('ZADD', index, again, member)
      if fault == '' then fault = (kit.caught(why)) end
    end
  end
end
each(records, due, now + AGAIN / 6, look)
each(closing, storms, now + AGAIN / 6, close)
each(over, ended, now - KEPT + AGAIN, forget)
return {math.max(#records, #closing, #over) >= most and 1 or 0, queued, fault}
