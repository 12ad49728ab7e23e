-- ARGV: owner, then tag and fence of every message it holds in memory. Returns the tags that are no longer its own by
-- that fence. One that came back to it by a claim whose answer it has not read yet is not: nobody renews that.
local owner = ARGV[1]
allow_writes()
redis.call('ZADD', 'unacked_owners', stamp, owner)
local lost = {}
for place = 2, #ARGV, 2 do
  local tag = ARGV[place]
  if redis.call('HGET', 'unacked_owner', tag) == ARGV[place + 1] then
    redis.call('ZADD', 'unacked_index', stamp, tag)
  else
    lost[#lost + 1] = tag
  end
end
return lost
