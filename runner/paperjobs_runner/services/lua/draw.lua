-- Draw one call on a budget: it may be made now, or after a wait and another look, or is refused as too far off.
--
-- A strict sliding window: no closed interval of length `per` holds more than `max` calls. First come, first served: a
-- place in the line is a time of arrival. Who waits has a planned instant, and will look again by then; every look plans
-- anew from what is, so holds, edited limits and places given back need no bookkeeping. Whoever has not come by its
-- planned instant is late or dead: its turn counts as a call for those behind it, and passes.
--   KEYS[1] {paperjobs}:budget:<name>:calls    sorted set: call -> instant at which it was made (ms, server clock)
--   KEYS[2] {paperjobs}:budget:<name>:line     sorted set: "<arrival (µs)>:<call>" -> planned instant (ms)
--   KEYS[3] {paperjobs}:budget:<name>:refused  sorted set: job -> arrival (µs) of its call that was refused: it keeps
--                                              its place in the line until it comes again
--   KEYS[4] {paperjobs}:budget:<name>:hold     string "<until (ms)> <run>": nothing is called before
--   KEYS[5] {paperjobs}:budget-limits          hash: name -> "<max>/<per (ms)>"
--   ARGV[1] name   ARGV[2] call, unlike any other; asked again after an answer was lost, it counts once
--   ARGV[3] place: "" when it is not known, later as returned   ARGV[4] job
--   ARGV[5] max, ARGV[6] per (ms): used when KEYS[5] has none   ARGV[7] longest wait (ms)
--   ARGV[8] retention of calls (ms)   ARGV[9] calls kept
-- Returns {"go", 0, place, …}, {"wait", ms until the next look, place, …} or {"refused", ms it would have taken, place,
--   …}; … is the rest of a hold (ms), or 0.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local call, place, job, longest = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[7])
local max, per = string.match(redis.call("HGET", KEYS[5], ARGV[1]) or "", "^(%d+)/(%d+)$")
max, per = tonumber(max or ARGV[5]), tonumber(per or ARGV[6])
local held = tonumber(string.match(redis.call("GET", KEYS[4]) or "", "^%d+") or 0)

redis.call("ZREMRANGEBYSCORE", KEYS[2], "-inf", "(" .. string.format("%.0f", now - per))
local planned = redis.call("ZRANGE", KEYS[2], 0, -1, "WITHSCORES")
for n = 1, #planned, 2 do
  if place == "" and string.sub(planned[n], -#call - 1) == ":" .. call then
    place = string.match(planned[n], "^%d+")
  end
end
if place == "" then
  place = redis.call("ZSCORE", KEYS[3], job) or string.format("%.0f", time[1] * 1000000 + time[2])
end
local own = place .. ":" .. call
redis.call("ZREM", KEYS[2], own)
redis.call("ZREM", KEYS[1], call)

local made = redis.call("ZCARD", KEYS[1])
local latest = tonumber(redis.call("ZRANGE", KEYS[1], -1, -1, "WITHSCORES")[2] or 0)
-- All before us: those whose turn has come, then those who wait, by arrival.
local instants, line = {}, {}
for n = 1, #planned, 2 do
  local instant = tonumber(planned[n + 1])
  if planned[n] < own and instant <= now then
    instants[#instants + 1] = math.max(instant, latest)
  elseif planned[n] < own then
    line[#line + 1] = planned[n]
  end
end

-- Whoever is n-th after the calls that were made may call when the call `max` before its own is more than `per` old.
local first = math.max(0, made - max)
local last = math.min(made, made - max + #instants + #line + 1) - 1
local old = last >= first and redis.call("ZRANGE", KEYS[1], first, last, "WITHSCORES") or {}
local instant = math.max(now, held)
for n = #instants + 1, #instants + #line + 1 do
  local before = n > max and instants[n - max] or old[2 * (made - max + n - first)]
  if before then
    instant = math.max(instant, tonumber(before) + per + 1)
  end
  instants[n] = instant
end

local wait, rest = instant - now, math.max(0, held - now)
local retention = math.max(per, tonumber(ARGV[8]))
if wait > longest then
  redis.call("ZADD", KEYS[3], place, job)
  redis.call("ZREMRANGEBYSCORE", KEYS[3], "-inf", string.format("%.0f", (now - retention) * 1000))
  redis.call("PEXPIRE", KEYS[3], retention)
  return {"refused", wait, place, rest}
end
redis.call("ZREM", KEYS[3], job)
if wait > 0 then
  redis.call("ZADD", KEYS[2], string.format("%.0f", instant), own)
  redis.call("PEXPIRE", KEYS[2], retention + wait)
  return {"wait", wait, place, rest}
end
redis.call("ZADD", KEYS[1], string.format("%.0f", now), call)
-- Older calls stay for a while: an interval that is edited to be longer must still see them.
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", "(" .. string.format("%.0f", now - retention))
redis.call("ZREMRANGEBYRANK", KEYS[1], 0, -math.max(max, tonumber(ARGV[9])) - 1)
redis.call("PEXPIRE", KEYS[1], retention)
return {"go", 0, place, rest}
