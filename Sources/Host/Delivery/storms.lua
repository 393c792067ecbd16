-- ARGV: storm ('' for all), most. Answers for each storm, newest first: id, state, group, total, firing, opened, last; for a named
-- one its first members too.
local one, most = ARGV[1], tonumber(ARGV[2])
local ids = {one}
if one == '' then
  ids = redis.call('ZREVRANGE', kit.key('storms'), 0, most - 1)
  if #ids < most then
    for _, id in ipairs(redis.call('ZREVRANGE', kit.key('ended'), 0, most - #ids - 1)) do ids[#ids + 1] = id end
  end
end
local reply = {}
for _, id in ipairs(ids) do
  local storm = kit.storm(id)
  if storm then
    local item = {id, storm.state, storm.group, storm.total, storm.firing, storm.began,
      storm.last}
    if one ~= '' then
      local listed = redis.call('ZRANGE', kit.key('m:', id), 0, most - 1, 'WITHSCORES')
      local summaries = {}
      for at = 1, #listed, 2 do summaries[#summaries + 1] = redis.call('HGET', kit.key('n:', id), listed[at]) end
      item[8], item[9] = listed, summaries
    end
    reply[#reply + 1] = item
  end
end
return reply
