-- Hold the queue: nothing is admitted before a time. A hold that lasts longer stays.
--   KEYS[1] <prefix>:<queue>:paperjobs:hold
--   ARGV[1] duration (ms)
-- Returns the time (ms, server clock) at which the hold ends.
local now = server_now()
local ends = now + tonumber(ARGV[1])
local held = tonumber(redis.call("GET", KEYS[1]) or 0)
if held >= ends or ends <= now then
  return held
end
redis.call("SET", KEYS[1], string.format("%.0f", ends), "PX", ARGV[1])
return ends
