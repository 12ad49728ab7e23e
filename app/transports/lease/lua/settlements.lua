-- Ends what an owner has done with: a = acknowledge, r = give back, d = to the dead letters. Each names its tag and
-- the claim it came from: who no longer owns a message changes nothing, and the same settlement twice is one.
-- ARGV[first] is their number; returns the place after them.
local function settle(first)
  local last = first + 3 * tonumber(ARGV[first])
  for place = first + 1, last, 3 do
    local how, tag, fence = ARGV[place], ARGV[place + 1], ARGV[place + 2]
    if redis.call('HGET', 'unacked_owner', tag) == fence then
      if how == 'd' then
        reject(tag)
      elseif how == 'r' then
        give_back(tag, 0)
      else
        forget(tag)
        redis.call('HDEL', 'unacked_deliveries', tag)
      end
    end
  end
  return last + 1
end
