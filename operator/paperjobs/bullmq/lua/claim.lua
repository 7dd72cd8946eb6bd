-- Claim the next job and take its start in the strict sliding window, both or neither, in one step: a replica that
-- stalls or dies here has done all of it or nothing, and no other can have come in between.
--   KEYS[1…11]  as BullMQ's moveToActive has them: wait, active, prioritized, events, stalled, limiter, delayed, paused,
--               meta, pc, marker
--   KEYS[12] <prefix>:<queue>:paperjobs:starts   KEYS[13] …:paperjobs:hold   KEYS[14] …:paperjobs:leader
--   ARGV[1] key prefix "<prefix>:<queue>:"   ARGV[2] is set here: now   ARGV[3] moveToActive's options (msgpack)
--   ARGV[4] token   ARGV[5] max (0: no limit)   ARGV[6] per (ms)   ARGV[7] retention (ms)   ARGV[8] entries kept
--   ARGV[9] installation   ARGV[10] term
-- Returns moveToActive's answer; or the time (ms) at which the window or hold opens; or {"damaged", job id, why} when
-- the next job was none that BullMQ can claim, and is out of the queue. Error FENCED: a later term has begun.
local function move_to_active()
--@bullmq moveToActive-11.lua
end

local now, max, per = server_now(), tonumber(ARGV[5]), tonumber(ARGV[6])
local refused = start_refused(KEYS[12], KEYS[13], KEYS[14], ARGV[4], now, max, per, ARGV[9], ARGV[10])
if refused then
  return refused
end
-- By this clock a tick was told when the next delayed job is due.
ARGV[2] = string.format("%.0f", now)
-- BullMQ's script would stumble over one of these after it had taken all that are due out of `delayed`.
for _, id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[7], 0, (now + 1) * 0x1000 - 1, "LIMIT", 0, 1000)) do
  if is_no_job(ARGV[1] .. id) then
    redis.call("ZREM", KEYS[7], id)
    return {"damaged", id, bury(ARGV[1], id, "", ARGV[2])}
  end
end
local before = redis.call("LINDEX", KEYS[2], 0)
local works, answer = pcall(move_to_active)
if not works then
  local moved = redis.call("LINDEX", KEYS[2], 0)
  local why = type(answer) == "table" and answer.err or tostring(answer)
  if not moved or moved == before then
    return redis.error_reply(why)
  end
  return {"damaged", moved, bury(ARGV[1], moved, why, ARGV[2])}
end
if type(answer[1]) == "table" then
  -- A worker without a name that claims the job after us leaves our `pb` in place: which claim it is of stands here.
  local key = ARGV[1] .. answer[2]
  redis.call("HSET", key, "pjc", ARGV[4] .. ":" .. redis.call("HGET", key, "ats"))
  remember_start(KEYS[12], ARGV[4], now, max, per, tonumber(ARGV[7]), tonumber(ARGV[8]))
end
return answer
