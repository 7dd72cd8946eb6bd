-- Reserve one start in the strict sliding window, or say when to ask again.
--   KEYS[1] <prefix>:<queue>:paperjobs:starts  sorted set: token -> reservation time (ms, server clock)
--   KEYS[2] <prefix>:<queue>:paperjobs:hold    string: admit nothing before this time (ms), expires then
--   ARGV[1] token   ARGV[2] max   ARGV[3] per (ms)   ARGV[4] retention (ms)
-- Returns 0 when reserved, else the time (ms) at which the window or hold opens.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local max, per = tonumber(ARGV[2]), tonumber(ARGV[3])

local held = tonumber(redis.call("GET", KEYS[2]) or 0)
if held > now then
  return held
end

-- A start leaves the window only when it is more than `per` old, so that a closed interval holds at most max.
local from = now - per
local used = redis.call("ZCOUNT", KEYS[1], from, "+inf")
if used >= max then
  local oldest = redis.call("ZRANGEBYSCORE", KEYS[1], from, "+inf", "WITHSCORES", "LIMIT", used - max, 1)
  return tonumber(oldest[2]) + per + 1
end

redis.call("ZADD", KEYS[1], now, ARGV[1])
-- Older starts stay for a while: a window that is edited to be longer must still see them.
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now - math.max(per, tonumber(ARGV[4])))
redis.call("PEXPIRE", KEYS[1], math.max(per, tonumber(ARGV[4])) + 1000)
return 0
