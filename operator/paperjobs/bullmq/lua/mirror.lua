-- Write our limits into BullMQ's meta, so that a stray worker is capped too. A lower value that the app set stays.
--   KEYS[1] meta  [2] paperjobs:mirror  hash: what we wrote last  [3] limiter
--   ARGV[1] concurrency   ARGV[2] max (0: no limit)   ARGV[3] duration (ms)
-- Returns nothing.
local function app_set(now, before)
  return now and now ~= before
end

local meta = redis.call("HMGET", KEYS[1], "concurrency", "max", "duration")
local mirror = redis.call("HMGET", KEYS[2], "concurrency", "max", "duration")

-- What is no number limits nothing, and makes BullMQ's own scripts fail: ours replaces it.
if not (app_set(meta[1], mirror[1]) and (tonumber(meta[1]) or math.huge) < tonumber(ARGV[1])) then
  -- A value that the app set and that happens to be ours stays the app's.
  if meta[1] ~= ARGV[1] then
    redis.call("HSET", KEYS[1], "concurrency", ARGV[1])
    redis.call("HSET", KEYS[2], "concurrency", ARGV[1])
  end
end

local theirs = app_set(meta[2], mirror[2]) or app_set(meta[3], mirror[3])
local max, duration = tonumber(ARGV[2]), tonumber(ARGV[3])
if max == 0 then
  if not theirs then
    redis.call("HDEL", KEYS[1], "max", "duration")
    redis.call("HDEL", KEYS[2], "max", "duration")
  end
elseif not (theirs and (tonumber(meta[2]) or math.huge) * duration < max * (tonumber(meta[3]) or 0)) then
  if meta[2] ~= ARGV[2] or meta[3] ~= ARGV[3] then
    redis.call("HSET", KEYS[1], "max", ARGV[2], "duration", ARGV[3])
    redis.call("HSET", KEYS[2], "max", ARGV[2], "duration", ARGV[3])
    -- BullMQ's counter lives for the old duration; our window counts on its own. The app's rateLimit(ms) stays.
    if (tonumber(redis.call("GET", KEYS[3]) or 0) or 0) < 9007199254740991 then
      redis.call("DEL", KEYS[3])
    end
  end
end
