-- Give a claimed job back to the front of its queue without an attempt, and count it when a disruption was the reason.
--   KEYS[1…9]  as BullMQ's moveJobFromActiveToWait has them: active, wait, stalled, paused, meta, limiter, prioritized,
--              marker, events
--   ARGV[1] job id   ARGV[2] token   ARGV[3] job hash   ARGV[4] 1 to count a disruption, else 0
-- Returns moveJobFromActiveToWait's answer: negative when the claim is over.
local function move_job_from_active_to_wait()
--@bullmq moveJobFromActiveToWait-9.lua
end

local answer = move_job_from_active_to_wait()
if tonumber(answer) >= 0 and ARGV[4] == "1" then
  redis.call("HINCRBY", ARGV[3], "pjd", 1)
end
return answer
