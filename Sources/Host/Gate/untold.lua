-- Behind records.lua: episodes that a sink was never told of, and members that need not wait out their back-off.

-- `u:<sink>` has an entry for a member of the sink's queue when an end was queued after its beginning had left the queue, or when
-- a new episode found the member queued already; and for a problem whose beginning is a dead letter: "skipped first current told more from". `current` is the episode that was claimed
-- last, or waits for its first claim, and `told` is 1 when the sink has been told of it. `skipped` episodes before it were never told, from
-- `first` on; `more` episodes have opened since and were followed by another one, from `from` on. Episodes are told by their readings.

local function parsed(text)
  local skipped, first, current, told, more, from = string.match(text or '', '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  if not skipped then return nil end
  return {skipped = tonumber(skipped), first = tonumber(first), current = tonumber(current), told = tonumber(told),
    more = tonumber(more), from = tonumber(from)}
end

local function text_of(e)
  return string.format('%.0f %.0f %.0f %.0f %.0f %.0f', e.skipped, e.first, e.current, e.told, e.more, e.from)
end

local function entry(episode, told) return {skipped = 0, first = 0, current = episode, told = told, more = 0, from = 0} end

-- A new episode found the member queued; `before` is the episode that waits there.
local function followed(e, before)
  if not e then return entry(before, 0) end
  if before ~= e.current then
    e.more = e.more + 1
    if e.from == 0 then e.from = before end
  end
  return e
end

-- The episode `current` is claimed: the ones before it are skipped.
local function claimed(e, current)
  local untold = e.current ~= current and e.told == 0
  if e.first == 0 then e.first = untold and e.current or e.from end
  e.skipped = e.skipped + (untold and 1 or 0) + e.more
  e.told = e.current == current and e.told or 0
  e.current, e.more, e.from = current, 0, 0
  return e
end

-- An end of the episode `episode` is queued behind nothing: the sink was told of its beginning, unless that is a dead letter.
local function ends(e, episode)
  if e and e.current == episode then return e end
  e = e and claimed(e, episode) or entry(episode, 0)
  e.told = 1
  return e
end

-- What is skipped of the claimed members of a sink: by member the number of episodes and the first one; nil when nothing is. `episodes`
-- has the claimed episode of each member.
function kit.skipped(sink, members, episodes)
  if #members == 0 then return {} end
  local key, found, changes = base .. 'u:' .. sink, {}, {}
  for place, text in ipairs(redis.call('HMGET', key, unpack(members))) do
    local e = parsed(text)
    if e then
      claimed(e, episodes[place])
      if e.skipped > 0 then found[members[place]] = e end
      changes[#changes + 1], changes[#changes + 2] = members[place], text_of(e)
    end
  end
  if #changes > 0 then redis.call('HSET', key, unpack(changes)) end
  return found
end

-- The sink has been told of these episodes, and the members stay queued: their states have moved on.
function kit.told(sink, members, episodes)
  if #members == 0 then return end
  local key, changes = base .. 'u:' .. sink, {}
  for place, text in ipairs(redis.call('HMGET', key, unpack(members))) do
    local e = parsed(text) or entry(episodes[place], 1)
    if e.current == episodes[place] then e.skipped, e.first, e.told = 0, 0, 1 end
    changes[#changes + 1], changes[#changes + 2] = members[place], text_of(e)
  end
  redis.call('HSET', key, unpack(changes))
end

-- These members have left the queue of the sink.
function kit.left(sink, members)
  if #members > 0 then redis.call('HDEL', base .. 'u:' .. sink, unpack(members)) end
end

-- The beginning of an episode is a dead letter, and its member is in no queue of the sink: the entry stays until a later delivery has
-- told of it, or the record goes.
function kit.not_told(sink, member, episode)
  local key = base .. 'u:' .. sink
  local e = parsed(redis.call('HGET', key, member))
  redis.call('HSET', key, member, text_of(e and claimed(e, episode) or entry(episode, 0)))
end

-- A member has left the queue as a dead letter; `view` is the episode that the letter speaks of. What was skipped before that is the letter's.
function kit.left_as_letter(sink, member, view)
  local e = parsed(redis.call('HGET', base .. 'u:' .. sink, member))
  kit.left(sink, {member})
  if not view or view.episode == 0 then return end
  if view.version == view.episode or (e and e.current == view.episode and e.told == 0) then
    kit.not_told(sink, member, view.episode)
  end
end

-- The skipped episodes of a member, as a dead letter keeps them; '' when there are none.
function kit.skipped_of(sink, member)
  local e = parsed(redis.call('HGET', base .. 'u:' .. sink, member))
  if not e or e.skipped == 0 then return '' end
  return string.format('%.0f %.0f', e.skipped, e.first)
end

-- A dead letter's episode is queued again.
function kit.skip_again(sink, member, episode, text)
  local skipped, first = string.match(text or '', '^(%d+) (%d+)$')
  if not skipped then return end
  local e = entry(episode, 0)
  e.skipped, e.first = tonumber(skipped), tonumber(first)
  redis.call('HSET', base .. 'u:' .. sink, member, text_of(e))
end

-- Held members of the queue `key` that may have been in it already: `notes` of `kit.queue`. Notes the episodes that are followed, in
-- front of the records: an entry that is too early says nothing false. Answers when those in back-off are due, and their names.
function kit.meet(key, notes)
  local hash, members, early, entries, order, queued = base .. 'u:' .. sub(key, #base + 3), {}, {}, {}, {}, {}
  for place, note in ipairs(notes) do members[place] = note.member end
  for place, score in ipairs(redis.call('ZMSCORE', key, unpack(members))) do
    local note, member = notes[place], members[place]
    score = tonumber(score or '')
    if score and note.changed and score > note.due then
      early[#early + 1], early[#early + 2] = note.due, member
    end
    local there = score or queued[member] or note.again
    queued[member] = true
    if note.episode > 0 and (there and note.opens and note.before > 0 or not there and not note.opens) then
      if entries[member] == nil then
        entries[member] = parsed(redis.call('HGET', hash, member)) or false
        order[#order + 1] = member
      end
      entries[member] = note.opens and followed(entries[member] or nil, note.before) or ends(entries[member] or nil, note.episode)
    end
  end
  local words = {}
  for _, member in ipairs(order) do words[#words + 1], words[#words + 2] = member, text_of(entries[member]) end
  if #words > 0 then redis.call('HSET', hash, unpack(words)) end
  return early
end

-- A new episode and a changed state are due at once: the back-off was that of the state before. The next attempt is the second one.
function kit.hurry(key, early)
  if #early == 0 then return end
  local tried = {}
  for at = 2, #early, 2 do tried[at - 1], tried[at] = early[at], 1 end
  redis.call('ZADD', key, 'XX', unpack(early))
  redis.call('HSET', base .. 'a:' .. sub(key, #base + 3), unpack(tried))
end
