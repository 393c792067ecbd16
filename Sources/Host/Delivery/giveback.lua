-- What may be a host's that never heard of it is due at once. ARGV: sink; claimer and number of a claim, or '' and 0; then of what calls
-- of the gate may have handed over: number of the call, member of each. Answers how much it was.
local sink, claimer, number = ARGV[1], ARGV[2], tonumber(ARGV[3])
local queue, back, now = kit.key('q:', sink), {}, kit.time()

local seen = {}
local function due(member, tried)
  if seen[member] then return end
  seen[member] = true
  back[#back + 1], back[#back + 2] = now, member
  kit.tried(sink, member, tried)
end

if claimer ~= '' then
  local last, token, list = kit.ticketed(claimer)
  local members, at = {}, 1
  while at <= #list do
    local size = string.byte(list, at)
    members[#members + 1] = sub(list, at + 1, at + size)
    at = at + 1 + size
  end
  if last == number and #members > 0 then
    for place, score in ipairs(redis.call('ZMSCORE', queue, unpack(members))) do
      -- Nobody tried: the attempt does not count.
      if score and tonumber(score) == token then due(members[place], -1) end
    end
  end
  -- The claim may still be on its way.
  if last <= number then kit.ticket(claimer, number, 0, {}) end
end
for at = 4, #ARGV, 2 do
  local score = tonumber(redis.call('ZSCORE', queue, ARGV[at + 1]) or '')
  -- Another host's, that the sender told of it meanwhile, has another number, or nearly always: so it counts as tried.
  if score and kit.call_of(score) == tonumber(ARGV[at]) then due(ARGV[at + 1], 1) end
end
if #back > 0 then redis.call('ZADD', queue, 'XX', unpack(back)) end
return #back / 2
