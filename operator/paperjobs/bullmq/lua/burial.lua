-- What becomes of a job that BullMQ's own scripts fail on: nobody's client wrote it so. Not a script: others begin
-- with it.

-- Whether a job's key holds something else than a job; a missing hash is a job without data.
local function is_no_job(key)
  local kind = redis.call("TYPE", key).ok
  return kind ~= "hash" and kind ~= "none"
end

-- Take an active job out of its queue, as failed if it is a job at all. What made the scripts fail is removed, so that
-- it may be retried. Returns why.
local function bury(prefix, id, why, now)
  local key = prefix .. id
  redis.call("LREM", prefix .. "active", 0, id)
  redis.call("SREM", prefix .. "stalled", id)
  redis.call("DEL", key .. ":lock")
  if is_no_job(key) then
    return "its key holds something else than a job"
  end
  for _, field in ipairs({"ats", "atm", "stc", "pjd"}) do
    local value = redis.call("HGET", key, field)
    if value and (#value > 15 or not string.match(value, "^%-?%d+$")) then
      redis.call("HDEL", key, field)
      why = "its field " .. field .. " is no whole number"
    end
  end
  -- As moveToFinished does: else no other job of that id would be added again.
  local deduplication = prefix .. "de:" .. (redis.call("HGET", key, "deid") or "")
  if redis.call("TYPE", deduplication).ok == "string" and redis.call("GET", deduplication) == id then
    redis.call("DEL", deduplication)
  end
  why = "the job is damaged in Redis: " .. why
  redis.call("HSET", key, "failedReason", why, "finishedOn", now, "pjl", "")
  redis.call("ZADD", prefix .. "failed", now, id)
  redis.call("XADD", prefix .. "events", "*", "event", "failed", "jobId", id, "failedReason", why, "prev", "active")
  return why
end
