-- ARGV: owner, then every tag it holds in memory. Returns the tags that are no longer its own.
local owner = ARGV[1]
allow_writes()
redis.call('ZADD', 'unacked_owners', stamp, owner)
local lost = {}
for place = 2, #ARGV do
  local tag = ARGV[place]
  local fence = redis.call('HGET', 'unacked_owner', tag)
  if fence and fence:sub(1, #owner + 1) == owner .. '|' then
    redis.call('ZADD', 'unacked_index', stamp, tag)
  else
    lost[#lost + 1] = tag
  end
end
return lost
