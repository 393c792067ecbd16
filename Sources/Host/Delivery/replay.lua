-- Queues a sink's dead letter again, and deletes it: from then on the queue holds what it tells. ARGV: letter, cooldown in ms.
-- Answers queued; missing; an adapter's letter, whose item goes through the intake instead: its origin, item, when it was received
-- (ms), and its size if it was cut; or, and then the letter stays, gone (the
-- store knows nothing of it any more), busy (its record can't tell of the letter's episode: it has an end to tell before, or the problem
-- fires), or unowned (no sink of that name is configured: no host would empty its queue).
local key = kit.key('l:', ARGV[1])
local h = redis.call('HMGET', key, 'origin', 'kind', 'item', 'member', 'record', 'document', 'skipped', 'received', 'size')
if not h[1] then return {'missing'} end
if h[2] ~= 'sink' then return {'adapter', h[1], h[3], h[8] or '', h[9] or ''} end
local sink, member, document = string.sub(h[1], 6), h[4], h[6]
local owned = false
for _, known in ipairs(outbox.sinks) do owned = owned or known.name == sink end
if not owned then return {'unowned', sink} end
local clock, now = kit.take(), kit.time()
local letter = h[5] and h[5] ~= '' and kit.unpack(h[5]) or nil
local ours = letter and kit.view(letter)

local function write(record)
  kit.write(member, record)
  kit.release()
  return record
end

-- The letter's record becomes that of the store. Its episode is over, whatever it said when it was set aside: told as it was, it
-- would revive the problem at its sink, and make a duplicate of every new firing. `resolve` is the last end that the store knows.
local function restored(resolve)
  if letter.state == kit.FIRING or resolve then letter.version, letter.moment = clock, clock end
  if letter.state == kit.FIRING then
    letter.state, letter.reason = kit.RESOLVED, kit.FORGOTTEN
    kit.over(letter, now)
  end
  letter.resolve = math.max(letter.resolve, resolve or 0)
  letter.due, letter.filed = now + tonumber(ARGV[2]), 0
  return write(letter)
end

-- A later episode of the problem, or a storm that it joined, follows the letter's episode: the record names it as the last one that
-- had an object of its own.
local function follow(record)
  local over = ours.state == kit.RESOLVED
  record.own, record.counted = ours.episode, ours.count
  record.ended, record.ended_reason = over and ours.version or clock, over and ours.reason or kit.FORGOTTEN
  -- A member's view is the letter's episode itself.
  if not record.storm then record.version, record.moment = clock, clock end
  return write(record)
end

-- Whether some sink is still to be told of an episode by the record as it is.
local function waits(episode) return episode > 0 and episode ~= ours.episode and kit.queued(member) end

-- The record by which the sink will be told of the end of the letter's episode; else nil and why. A later episode tells of one before
-- it alone, the one that it follows: what waits in a queue is told first.
local function teller()
  local record = kit.read(member)
  local told = record and kit.view(record)
  if not letter then return told and record, 'gone' end
  if not record then return restored() end
  if not ours then return told and record, 'busy' end
  if told and told.episode == ours.episode then return record end
  if ours.episode > 0 and ours.episode < record.episode then
    if record.own == ours.episode then return record end
    if not waits(record.own) then return follow(record) end
  elseif not record.storm and record.state == kit.RESOLVED and not waits(record.episode) then
    return restored(record.resolve)
  end
  return nil, 'busy'
end

local episode
if #member == 32 then
  local record, why = teller()
  if not record then return {why} end
  episode = kit.view(record).episode
  if document and document ~= '' then redis.call('SET', kit.key('d:', member), document, 'NX') end
else
  if not kit.storm(member) then return {'gone'} end
  kit.buried(member, -1)
end
-- Its sink may have it, for all that was said: the next attempt is not the first.
if redis.call('ZADD', kit.key('q:', sink), 'NX', now, member) == 1 then
  redis.call('HSET', kit.key('a:', sink), member, 1)
  if episode then kit.skip_again(sink, member, episode, h[7]) end
end
redis.call('SADD', kit.key('queues'), sink)
kit.delete_letter(h[1], ARGV[1])
return {'queued'}
