-- Hold a budget for everyone: its service asked to wait. A hold that lasts longer stays.
--   KEYS[1] {paperjobs}:budget:<name>:hold  string "<until (ms, server clock)> <run>", expires then
--   ARGV[1] duration (ms)   ARGV[2] the run that was asked to wait
-- Returns the time (ms) at which the hold ends.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = now + tonumber(ARGV[1])
local held = tonumber(string.match(redis.call("GET", KEYS[1]) or "", "^%d+") or 0)
if held >= ends or ends <= now then
  return held
end
redis.call("SET", KEYS[1], string.format("%.0f %s", ends, ARGV[2]), "PX", ARGV[1])
return ends
