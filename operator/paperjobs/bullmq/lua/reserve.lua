-- Reserve one start in the strict sliding window, or say when to ask again. A token that has a start already gives it
-- up for the new one: its launch was held up, and it is the launch that counts.
--   KEYS[1] <prefix>:<queue>:paperjobs:starts  sorted set: token -> reservation time (ms, server clock)
--   KEYS[2] <prefix>:<queue>:paperjobs:hold    string: admit nothing before this time (ms), expires then
--   ARGV[1] token   ARGV[2] max (0: no limit)   ARGV[3] per (ms)   ARGV[4] retention (ms)   ARGV[5] entries kept
-- Returns 0 when reserved, else the time (ms) at which the window or hold opens.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local max, per = tonumber(ARGV[2]), tonumber(ARGV[3])

local held = tonumber(redis.call("GET", KEYS[2]) or 0)
if held > now then
  return held
end

if max > 0 then
  -- A start leaves the window only when it is more than `per` old, so that a closed interval holds at most max.
  local from = now - per
  local own = tonumber(redis.call("ZSCORE", KEYS[1], ARGV[1]) or -1)
  local used = redis.call("ZCOUNT", KEYS[1], from, "+inf")
  if own >= from then
    used = used - 1
  end
  if used >= max then
    local starts = redis.call("ZRANGEBYSCORE", KEYS[1], from, "+inf", "WITHSCORES")
    local leaving = used - max + 1
    for i = 1, #starts, 2 do
      if starts[i] ~= ARGV[1] then
        leaving = leaving - 1
        if leaving == 0 then
          return tonumber(starts[i + 1]) + per + 1
        end
      end
    end
  end
end

redis.call("ZADD", KEYS[1], now, ARGV[1])
-- Older starts stay for a while: a window that is edited to be longer must still see them.
local retention = math.max(per, tonumber(ARGV[4]))
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", "(" .. string.format("%.0f", now - retention))
redis.call("ZREMRANGEBYRANK", KEYS[1], 0, -math.max(max, tonumber(ARGV[5])) - 1)
redis.call("PEXPIRE", KEYS[1], retention + 1000)
return 0
