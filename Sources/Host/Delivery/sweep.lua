-- Ends what is due by itself, a bounded number of each. ARGV: most, cooldown in ms. Any host runs it, as often as it
-- likes. Answers whether there may be more, whether anything was queued, and the first fault.
local most, cooldown = tonumber(ARGV[1]), tonumber(ARGV[2])
local KEPT, AGAIN = 3600000, 60000
local due, storms, ended = kit.key('due'), kit.key('storms'), kit.key('ended')

local function upto(key, time)
  return redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', time), 'LIMIT', 0, most)
end

local now = kit.time()
local closing, over = upto(storms, now), upto(ended, now - KEPT)
-- What is in the lists of the seconds up to now, and how much of each list that is.
local records, filed, taken = {}, {}, {}
local seconds = upto(due, math.floor(now / 1000))
for _, second in ipairs(seconds) do
  if #records == most then break end
  local entries = redis.call('LRANGE', kit.key('due:', second), 0, most - #records - 1)
  taken[second] = #entries
  for _, entry in ipairs(entries) do
    records[#records + 1] = entry
    filed[#records] = tonumber(second)
  end
end
if #seconds + #closing + #over == 0 then return {0, 0, ''} end
local clock = kit.take()
local queued, fault = 0, ''

local function finish(fingerprint, record)
  local reason = record.bounded == 1 and kit.EXPIRED or kit.FORGOTTEN
  record.state, record.reason, record.version, record.moment, record.due = kit.RESOLVED, reason, clock, clock, now + cooldown
  kit.over(record, now)
  local writes
  if record.storm then
    writes = kit.leave(fingerprint, record, now, clock)
  else
    local queue = kit.queue(fingerprint, now, now)
    writes = function() queue(record, nil) end
  end
  if writes then writes() end
  kit.tally(reason == kit.EXPIRED and 'expired' or 'forgotten')
  record.filed = 0
  kit.write(fingerprint, record)
  queued = 1
end

-- Looked at again, whatever its record says of where it is filed: that can't be written, or need not be.
local function later(fingerprint, at)
  kit.file(fingerprint .. '!', kit.second(at, now))
  kit.release()
end

local function look(entry, place)
  local fingerprint = string.sub(entry, 1, 32)
  local record = kit.read(fingerprint)
  if not record or (record.filed ~= filed[place] and entry == fingerprint) then return end
  if record.due > now then
    record.filed = 0
    kit.write(fingerprint, record)
  elseif record.state == kit.FIRING then
    finish(fingerprint, record)
  elseif kit.queued(fingerprint) then
    later(fingerprint, now + AGAIN)
  else
    redis.call('DEL', kit.key('r:', fingerprint), kit.key('d:', fingerprint))
    kit.forget(fingerprint)
  end
end

-- Its group has a storm no more, or a later one.
local function end_of(id)
  local open, group = kit.key('open'), string.sub(id, 1, 16)
  if redis.call('HGET', open, group) == id then redis.call('HDEL', open, group) end
end

local function close(id)
  local storm = kit.storm(id)
  if not storm then
    -- Written by a call that went no further.
    end_of(id)
    redis.call('UNLINK', kit.key('m:', id), kit.key('n:', id))
    redis.call('ZREM', storms, id)
  elseif storm.state ~= 'open' then
    end_of(id)
    redis.call('ZADD', storms, kit.FAR, id)
  elseif kit.closing(storm) > now then
    redis.call('ZADD', storms, kit.closing(storm), id)
  else
    local queue = kit.queue(id, now, math.max(now, storm.announced + storm.flush))
    storm.state, storm.version = 'closed', clock
    queue(nil, nil)
    kit.reindex(storms, kit.FAR, id)
    kit.settle(storm, now)
    kit.write_storm(storm)
    end_of(id)
    queued = 1
  end
end

local function forget(id)
  local storm = kit.storm(id)
  if storm and storm.state ~= 'resolved' then
    -- Indexed by a call that went no further.
    redis.call('ZREM', ended, id)
  elseif storm and storm.buried > 0 or kit.queued(id) then
    redis.call('ZADD', ended, now - KEPT + AGAIN, id)
  else
    redis.call('UNLINK', kit.key('s:', id), kit.key('m:', id), kit.key('n:', id))
    kit.forget(id)
    redis.call('ZREM', ended, id)
  end
end

-- A full queue has room later; what can't be read may have been mended.
local function each(members, again, step)
  for place, member in ipairs(members) do
    local ok, why = pcall(function()
      step(member, place)
      kit.release()
    end)
    if not ok then
      kit.restart()
      again(member)
      if fault == '' then fault = (kit.caught(why)) end
    end
  end
end
each(records, function(entry) later(string.sub(entry, 1, 32), now + AGAIN / 6) end, look)
each(closing, function(id) redis.call('ZADD', storms, now + AGAIN / 6, id) end, close)
each(over, function(id) redis.call('ZADD', ended, now - KEPT + AGAIN, id) end, forget)
-- Last, or what a script that ends halfway had not looked at would never be.
for second, count in pairs(taken) do
  local key = kit.key('due:', second)
  if count > 0 then redis.call('LTRIM', key, count, -1) end
  if redis.call('EXISTS', key) == 0 then redis.call('ZREM', due, second) end
end
return {math.max(#records, #seconds, #closing, #over) >= most and 1 or 0, queued, fault}
