-- Give a claimed job back to the front of its queue without an attempt, and count it when a disruption was the reason.
--   KEYS[1…9]  as BullMQ's moveJobFromActiveToWait has them: active, wait, stalled, paused, meta, limiter, prioritized,
--              marker, events
--   ARGV[1] job id   ARGV[2] token   ARGV[3] job hash   ARGV[4] 1 to count a disruption, else 0
-- Returns moveJobFromActiveToWait's answer: negative when the claim is over.
local function move_job_from_active_to_wait()
--@bullmq moveJobFromActiveToWait-9.lua
end

-- A claim that was never launched hands on the record of the launch before it: the job had a run, and so a PaperJob.
local function hand_on_launch()
  local fields = redis.call("HMGET", ARGV[3], "pjl", "ats")
  local launched = tonumber(string.match(fields[1] or "", ":(%d+)$"))
  local claim = tonumber(fields[2] or nil)
  if launched and claim and launched == claim - 1 then
    redis.call("HSET", ARGV[3], "pjl", ARGV[2] .. ":" .. fields[2])
  end
end

local answer = move_job_from_active_to_wait()
if tonumber(answer) >= 0 then
  hand_on_launch()
end
if tonumber(answer) >= 0 and ARGV[4] == "1" then
  redis.call("HINCRBY", ARGV[3], "pjd", 1)
end
return answer
