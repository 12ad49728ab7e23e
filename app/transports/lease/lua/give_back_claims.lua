-- ARGV: owner, then claims whose answer never reached it. Returns how many messages went back.
local owner, lost = ARGV[1], {}
for place = 2, #ARGV do lost[owner .. '|' .. ARGV[place]] = true end
allow_writes()
local fences = redis.call('HGETALL', 'unacked_owner')
local returned = 0
for place = 1, #fences, 2 do
  if lost[fences[place + 1]] and give_back(fences[place], 0) then returned = returned + 1 end
end
return returned
