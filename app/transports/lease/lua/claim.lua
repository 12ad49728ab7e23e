-- ARGV: owner, claim, how many, settlements, then each queue with 1 where nobody acknowledges.
-- Ends what was done, then takes up to so many messages: one queue after the other, the most urgent of each, and
-- records them as held in the same step. Returns queue, tag, message for each. A queue found empty needs no tokens.
local owner, claim, wanted = ARGV[1], ARGV[2], tonumber(ARGV[3])
local fence = owner .. '|' .. claim
local place = settle(4)

local queues = {}
while place < #ARGV do
  queues[#queues + 1] = {name = ARGV[place], unacknowledged = ARGV[place + 1] == '1', step = 0}
  place = place + 2
end

local function next_of(queue)
  while queue.step < STEPS do
    local raw = redis.call('RPOP', step_key(queue.name, queue.step))
    if raw then return raw end
    queue.step = queue.step + 1
  end
  return nil
end

local taken, held = {}, false

local function take(queue, raw)
  -- A NUL ends the text for this parser, and for no other.
  local message = not raw:find('\0', 1, true) and decoded(raw)
  local tag = message and message.properties.delivery_tag
  if type(tag) ~= 'string' then
    bury(queue.name, raw, 'undecodable', 1)
    return
  end
  if not queue.unacknowledged then
    if redis.call('HEXISTS', 'unacked', tag) == 1 then tag = tag .. '#' .. fence .. '.' .. #taken end
    redis.call('HSET', 'unacked', tag, '[' .. raw .. ',"",' .. cjson.encode(queue.name) .. ']')
    redis.call('ZADD', 'unacked_index', stamp, tag)
    redis.call('HSET', 'unacked_owner', tag, fence)
    held = true
  end
  taken[#taken + 1] = queue.name
  taken[#taken + 1] = tag
  taken[#taken + 1] = raw
end

while #queues > 0 and #taken < 3 * wanted do
  local left = {}
  for _, queue in ipairs(queues) do
    if #taken < 3 * wanted then
      local raw = next_of(queue)
      if raw then
        take(queue, raw)
        left[#left + 1] = queue
      else
        redis.call('DEL', 'wake:' .. queue.name)
      end
    end
  end
  queues = left
end

if held then redis.call('ZADD', 'unacked_owners', stamp, owner) end
return taken
