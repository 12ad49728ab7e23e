-- ARGV: owner, settlements. It ends: what it still holds goes back uncounted. Returns how many messages did.
local owner = ARGV[1]
allow_writes()
settle(2)
local fences = redis.call('HGETALL', 'unacked_owner')
local returned = 0
for place = 1, #fences, 2 do
  if fences[place + 1]:sub(1, #owner + 1) == owner .. '|' and give_back(fences[place], 0) then
    returned = returned + 1
  end
end
redis.call('ZREM', 'unacked_owners', owner)
redis.call('HDEL', 'unacked_suspects', owner) -- or it would stay for a minute when nobody sweeps any more
return returned
