-- Take one job out of its place in the queue, as a worker that claims it would: to be failed as cancelled, not to run.
-- It is no start, so neither the window nor the concurrency, BullMQ's limiter or a pause has a say.
--   KEYS[1] job hash  [2] lock  [3] active  [4] wait  [5] paused (BullMQ 5)  [6] prioritized  [7] delayed
--   [8] waiting-children  [9] events  [10] paperjobs:cancel
--   ARGV[1] job id   ARGV[2] token   ARGV[3] lock duration (ms)
-- Returns the job's hash as {name, value, …}; {} when there is nothing to take: the job is active, or the request is
-- void (no such job, another one under its id, or it has ended), and then the request is dropped.
local request = redis.call("HGET", KEYS[10], ARGV[1])
local created = redis.call("HGET", KEYS[1], "timestamp")
if not request or not created or string.sub(request, 1, #created + 1) ~= created .. " " then
  redis.call("HDEL", KEYS[10], ARGV[1])
  return {}
end
for _, id in ipairs(redis.call("LRANGE", KEYS[3], 0, -1)) do
  if id == ARGV[1] then
    return {}
  end
end

local function told(previous)
  redis.call("XADD", KEYS[9], "*", "event", "waiting", "jobId", ARGV[1], "prev", previous)
end

if redis.call("ZREM", KEYS[7], ARGV[1]) == 1 then
  redis.call("HSET", KEYS[1], "delay", 0)
  told("delayed")
elseif redis.call("ZREM", KEYS[8], ARGV[1]) == 1 then
  told("waiting-children")
elseif redis.call("ZREM", KEYS[6], ARGV[1]) == 0 and redis.call("LREM", KEYS[4], 1, ARGV[1]) == 0
    and redis.call("LREM", KEYS[5], 1, ARGV[1]) == 0 then
  redis.call("HDEL", KEYS[10], ARGV[1])
  return {}
end

-- From here on as BullMQ's prepareJobForProcessing.
local now = string.format("%.0f", server_now())
redis.call("LPUSH", KEYS[3], ARGV[1])
redis.call("SET", KEYS[2], ARGV[2], "PX", ARGV[3])
redis.call("XADD", KEYS[9], "*", "event", "active", "jobId", ARGV[1], "prev", "waiting")
redis.call("HSET", KEYS[1], "processedOn", now, "pb", ARGV[2])
redis.call("HSET", KEYS[1], "pjc", ARGV[2] .. ":" .. redis.call("HINCRBY", KEYS[1], "ats", 1))
return redis.call("HGETALL", KEYS[1])
