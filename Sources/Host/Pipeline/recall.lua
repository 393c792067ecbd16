-- What a source remembers. ARGV: source; then `at`, part: its checkpoint; or `seen`, keys: their values, newest first.
local name, what = ARGV[1], ARGV[2]
local SLOT = 3600000
if what == 'at' then return {redis.call('HGET', kit.key('src:', name), 'at:' .. ARGV[3])} end
local slot = math.floor(redis.call('TIME')[1] * 1000 / SLOT)
local values = {}
for place = 3, #ARGV do values[place - 2] = false end
for age = 0, 2 do
  local seen = kit.key('seen:', name .. ':' .. (slot - age))
  for from = 3, #ARGV, 1000 do
    local upto = math.min(from + 999, #ARGV)
    for place, value in ipairs(redis.call('HMGET', seen, unpack(ARGV, from, upto))) do
      local at = from - 3 + place
      if value and not values[at] then values[at] = value end
    end
  end
end
return values
