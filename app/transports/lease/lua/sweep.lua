-- ARGV: seconds between sweeps, silence, doubt, lease, delivery limit, age of a stock worker's message to give back.
-- Finds owners that died and gives back what they held. Two signs of death: nobody listens on the owner's channel
-- (0 within milliseconds of a SIGKILL) for `silence` while its last renewal is older than `doubt`; or its last
-- renewal is older than `lease` (a frozen process, a half-open link).
-- After a pause of the server, or a jump of its clock, everyone looks dead: all get a full lease instead.
-- Returns {0} when another sweep was just made, else {1, returned, buried, dead owner, …}.
local interval, silence, doubt, lease, limit, stock =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local last = tonumber(redis.call('GET', 'unacked_swept')) or 0
if now >= last and now - last < interval * 0.8 then return {0} end
if redis.call('EXISTS', 'unacked_index', 'unacked_owners') == 0 then return {1, 0, 0} end

allow_writes()
redis.call('SET', 'unacked_swept', stamp, 'EX', 10)

if now < last or now - last > math.max(3, 6 * interval) then
  for _, owner in ipairs(redis.call('ZRANGE', 'unacked_owners', 0, -1)) do
    redis.call('ZADD', 'unacked_owners', stamp, owner)
  end
  for _, tag in ipairs(redis.call('HKEYS', 'unacked_owner')) do
    redis.call('ZADD', 'unacked_index', 'XX', stamp, tag)
  end
  redis.call('DEL', 'unacked_suspects')
  return {1, 0, 0}
end

local function listeners(owner)
  local ok, counted = pcall(redis.call, 'PUBSUB', 'NUMSUB', 'unacked_owner:' .. owner)
  if ok and type(counted) == 'table' and counted[2] then return tonumber(counted[2]) end
  return 1 -- not allowed to ask: the lease alone decides
end

local function is_silent(owner)
  if listeners(owner) > 0 then
    redis.call('HDEL', 'unacked_suspects', owner)
    return false
  end
  redis.call('HSETNX', 'unacked_suspects', owner, stamp)
  redis.call('EXPIRE', 'unacked_suspects', 60)
  return now - tonumber(redis.call('HGET', 'unacked_suspects', owner)) >= silence
end

local dead, answer = {}, {1, 0, 0}
local owners = redis.call('ZRANGE', 'unacked_owners', 0, -1, 'WITHSCORES')
for place = 1, #owners, 2 do
  local owner, age = owners[place], now - tonumber(owners[place + 1])
  if age >= lease or (is_silent(owner) and age >= doubt) then
    dead[owner] = true
    answer[#answer + 1] = owner
    redis.call('ZREM', 'unacked_owners', owner)
    redis.call('HDEL', 'unacked_suspects', owner)
  end
end

local function returned(tag)
  local fate = give_back(tag, limit)
  if fate == 'returned' then answer[2] = answer[2] + 1 end
  if fate == 'buried' then answer[3] = answer[3] + 1 end
end

if next(dead) then
  local fences = redis.call('HGETALL', 'unacked_owner')
  for place = 1, #fences, 2 do
    if dead[fences[place + 1]:match('^(.*)|')] then returned(fences[place]) end
  end
end

-- Held by an owner that lives and does not know it; or left by a stock worker.
local old = redis.call('ZRANGEBYSCORE', 'unacked_index', '-inf', string.format('%.3f', now - lease),
  'WITHSCORES', 'LIMIT', 0, 1000)
for place = 1, #old, 2 do
  local tag, age = old[place], now - tonumber(old[place + 1])
  if redis.call('HEXISTS', 'unacked_owner', tag) == 1 or age >= stock then returned(tag) end
end
return answer
