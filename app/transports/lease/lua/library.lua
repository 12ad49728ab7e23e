-- What every script of the lease transport shares. The server's clock is the only clock.
--
--   unacked             hash  tag -> [message, "", queue]   what workers hold (kombu's format)
--   unacked_index       zset  tag -> last renewal           (kombu's key: a stock worker would give back old ones)
--   unacked_owner       hash  tag -> owner|claim            whose it is; the fence of every acknowledgement
--   unacked_owners      zset  owner -> last renewal
--   unacked_deliveries  hash  tag -> times its owner died   of messages that are no calls of the outbox
--   wake:<queue>        list  tokens for workers that wait; worthless after a second
--
-- A server that is full refuses commands that need memory, unless the script has written before: so each
-- script takes before it adds (`allow_writes`).

local STEPS = 10
local SEPARATOR = '\6\22'
local TOKENS = 16
local TOKEN_MILLISECONDS = '2000'

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local stamp = string.format('%.3f', now)

local function allow_writes()
  redis.call('DEL', 'unacked_nothing')
end

local function step_key(queue, step)
  if step == 0 then return queue end
  return queue .. SEPARATOR .. step
end

-- The priority of a message as AMQP has it: 9 first, none is the lowest.
local function step_of(message)
  local priority = tonumber(type(message.properties) == 'table' and message.properties.priority) or 0
  return STEPS - 1 - math.floor(math.max(0, math.min(STEPS - 1, priority)))
end

local function decoded(raw)
  local ok, message = pcall(cjson.decode, raw)
  if ok and type(message) == 'table' and type(message.properties) == 'table' then return message end
  return nil
end

local function is_call(message)
  return type(message.headers) == 'table' and message.headers.generation ~= nil
end

local function wake(queue, tokens)
  local key = 'wake:' .. queue
  for _ = 1, tokens do redis.call('LPUSH', key, '1') end
  redis.call('LTRIM', key, 0, TOKENS - 1)
  redis.call('PEXPIRE', key, TOKEN_MILLISECONDS)
end

-- The message and its queue out of a record, byte for byte as they were: a round through cjson would not be. One of
-- ours needs no parser, which a message that was taken may be too much for; a stock worker's has blanks.
local function parts_of(record)
  local own, name = record:match('^%[(.*),"","([^"\\]*)"%]$')
  if own then return own, name end
  local ok, parts = pcall(cjson.decode, record)
  if not ok or type(parts) ~= 'table' or type(parts[3]) ~= 'string' then return nil, nil end
  for _, comma in ipairs({',', ', '}) do
    local tail = comma .. cjson.encode(parts[2]) .. comma .. cjson.encode(parts[3]) .. ']'
    if record:sub(-#tail) == tail then return record:sub(2, -#tail - 1), parts[3] end
  end
  return nil, nil
end

local function forget(tag)
  redis.call('HDEL', 'unacked', tag)
  redis.call('ZREM', 'unacked_index', tag)
  redis.call('HDEL', 'unacked_owner', tag)
end

local function bury(queue, raw, reason, count)
  local header = cjson.encode({reason = reason, count = count, time = now, queue = queue})
  redis.call('LPUSH', queue .. '.dead', header .. '\n' .. raw)
end

local function deliveries_of(tag)
  return tonumber(redis.call('HGET', 'unacked_deliveries', tag)) or 0
end

-- To the dead letters of its queue.
local function reject(tag)
  local record = redis.call('HGET', 'unacked', tag)
  local raw, queue
  if record then raw, queue = parts_of(record) end
  if not raw then return false end
  forget(tag)
  bury(queue, raw, 'rejected', deliveries_of(tag) + 1)
  redis.call('HDEL', 'unacked_deliveries', tag)
  return true
end

-- To the front of its queue. With `limit` (0: none) its owner has died with it, which is counted for a message
-- that is no call; a call counts its own starts. Returns 'returned', 'buried' or false.
local function give_back(tag, limit)
  local record = redis.call('HGET', 'unacked', tag)
  if not record then
    forget(tag)
    return false
  end
  local raw, queue = parts_of(record)
  if not raw then return false end
  local message = decoded(raw)
  forget(tag)
  if not message then
    bury(queue, raw, 'undecodable', 1)
    redis.call('HDEL', 'unacked_deliveries', tag)
    return 'buried'
  end
  if limit > 0 and not is_call(message) then
    local count = redis.call('HINCRBY', 'unacked_deliveries', tag, 1)
    if count >= limit then
      bury(queue, raw, 'delivery_limit', count)
      redis.call('HDEL', 'unacked_deliveries', tag)
      return 'buried'
    end
  end
  redis.call('RPUSH', step_key(queue, step_of(message)), raw)
  wake(queue, 1)
  return 'returned'
end
