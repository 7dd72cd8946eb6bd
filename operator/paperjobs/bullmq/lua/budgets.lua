-- Read how far some budgets are used, and which of them are held. The keys are the runner's (services/lua/draw.lua).
--   KEYS[2n-1] {paperjobs}:budget:<name>:calls  sorted set: call -> instant at which it was made (ms, server clock)
--   KEYS[2n]   {paperjobs}:budget:<name>:hold   string "<until (ms)> <run>"
--   ARGV[n]    per (ms)
-- Returns for each {calls in the interval that ends now, hold or ""}.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {}
for n = 1, #ARGV do
  local used = redis.call("ZCOUNT", KEYS[2 * n - 1], now - tonumber(ARGV[n]), now)
  found[n] = {used, redis.call("GET", KEYS[2 * n]) or ""}
end
return found
