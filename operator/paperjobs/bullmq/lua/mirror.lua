-- Write our limits into BullMQ's meta, so that a stray worker is capped too. Where the app has set a lower value, that one
-- stands there; it is remembered, since a limit of ours may be lower for a while.
--   KEYS[1] meta  [2] paperjobs:mirror  hash: what we wrote last, and what the app had set (app…)  [3] limiter
--   ARGV[1] concurrency   ARGV[2] max (0: no limit)   ARGV[3] duration (ms)
-- Returns nothing.
local meta = redis.call("HMGET", KEYS[1], "concurrency", "max", "duration")
local mirror = redis.call("HMGET", KEYS[2], "concurrency", "max", "duration", "appConcurrency", "appMax", "appDuration")

-- Sets fields of a hash, or removes those that are false.
local function put(key, fields)
  for field, value in pairs(fields) do
    if value then
      redis.call("HSET", key, field, value)
    else
      redis.call("HDEL", key, field)
    end
  end
end

-- What is not what we wrote last, the app wrote, or removed. What is no number limits nothing, and makes BullMQ's own
-- scripts fail: ours replaces it.
local app_concurrency = mirror[4]
if meta[1] ~= mirror[1] then
  app_concurrency = tonumber(meta[1] or nil) and meta[1] or false
end
local concurrency = ARGV[1]
if app_concurrency and tonumber(app_concurrency) < tonumber(concurrency) then
  concurrency = app_concurrency
end
if meta[1] ~= concurrency then
  redis.call("HSET", KEYS[1], "concurrency", concurrency)
end
put(KEYS[2], {concurrency = concurrency, appConcurrency = app_concurrency})

local app_max, app_duration = mirror[5], mirror[6]
if meta[2] ~= mirror[2] or meta[3] ~= mirror[3] then
  local numbers = tonumber(meta[2] or nil) and tonumber(meta[3] or nil)
  app_max, app_duration = numbers and meta[2] or false, numbers and meta[3] or false
end
local max, duration = tonumber(ARGV[2]) > 0 and ARGV[2], tonumber(ARGV[2]) > 0 and ARGV[3]
if app_max and (not max or tonumber(app_max) * tonumber(duration) < tonumber(max) * tonumber(app_duration)) then
  max, duration = app_max, app_duration
end
if meta[2] ~= max or meta[3] ~= duration then
  put(KEYS[1], {max = max, duration = duration})
  -- BullMQ's counter lives for the old duration; our window counts on its own. The app's rateLimit(ms) stays.
  if max and (tonumber(redis.call("GET", KEYS[3]) or 0) or 0) < 9007199254740991 then
    redis.call("DEL", KEYS[3])
  end
end
put(KEYS[2], {max = max, duration = duration, appMax = app_max, appDuration = app_duration})
