-- In front of the scripts that say whose a delivery is.

-- How often a sink was asked, as the store has it. What this code did not write says nothing but that it was.
function kit.attempts(value)
  if not value then return 0 end
  local known = tonumber(value)
  return known and known >= 0 and known < 1000000 and floor(known) or 1
end

-- It was asked so many times more; `least` is what it counts at least.
function kit.tried(sink, member, more, least)
  local key = kit.key('a:', sink)
  redis.call('HSET', key, member, max(kit.attempts(redis.call('HGET', key, member)) + more, least or 0))
end

-- What a claimer took with its last claim: number of the claim, token, members. For as long as it may be theirs.
function kit.ticket(claimer, number, token, members)
  local words = {string.format('%.0f %.0f ', number, token * kit.TICKS)}
  for _, member in ipairs(members) do words[#words + 1] = string.char(#member) .. member end
  redis.call('SET', kit.key('c:', claimer), table.concat(words), 'PX', outbox.lease)
end

-- Answers number, token, and what `ticket` wrote of the members; -1 when there is nothing, or nothing that can be read.
function kit.ticketed(claimer)
  local ok, text = pcall(function() return redis.call('GET', kit.key('c:', claimer)) end)
  local number, token, list = string.match(ok and text or '', '^(%d+) (%d+) (.*)$')
  if not number or #number > 15 or #token > 16 then return -1, 0, '' end
  return tonumber(number), tonumber(token) / kit.TICKS, list
end


-- The version that a sink would be told of now, from when on, and the problem's episode and state; nil when there is nothing to tell.
function kit.current(member, space)
  if #member == 32 then
    local record = kit.read(member, space)
    local view = record and kit.view(record)
    if view then return view.version, 0, view.episode, view.state end
    return nil
  end
  local storm = kit.storm(member)
  if storm then return storm.version, storm.announced + storm.flush end
end
