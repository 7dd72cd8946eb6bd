-- Ask for a job to be cancelled, and wake whoever serves the queue. A job that has ended needs no request.
--   KEYS[1] job hash  [2] lock  [3] active  [4] delayed  [5] waiting-children  [6] completed  [7] failed
--   [8] paperjobs:cancel  hash: job id -> "<the job's timestamp> <message>"  [9] paperjobs:wake  sorted set
--   ARGV[1] job id   ARGV[2] message
-- Returns {state, who}: state is "" for a job that does not exist, completed, failed, active, delayed,
-- waiting-children or waiting; who is the lock token of an active job, or the failedReason of a failed one.
local fields = redis.call("HMGET", KEYS[1], "timestamp", "pb", "failedReason")
if not fields[1] then
  return {"", ""}
end
if redis.call("ZSCORE", KEYS[6], ARGV[1]) then
  return {"completed", ""}
end
if redis.call("ZSCORE", KEYS[7], ARGV[1]) then
  return {"failed", fields[3] or ""}
end

redis.call("HSET", KEYS[8], ARGV[1], fields[1] .. " " .. ARGV[2])
redis.call("ZADD", KEYS[9], 0, "0")

for _, id in ipairs(redis.call("LRANGE", KEYS[3], 0, -1)) do
  if id == ARGV[1] then
    return {"active", redis.call("GET", KEYS[2]) or fields[2] or ""}
  end
end
if redis.call("ZSCORE", KEYS[4], ARGV[1]) then
  return {"delayed", ""}
end
if redis.call("ZSCORE", KEYS[5], ARGV[1]) then
  return {"waiting-children", ""}
end
return {"waiting", ""}
