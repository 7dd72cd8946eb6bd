-- Read everything one tick decides on, as one consistent picture.
--   KEYS[1] wait  [2] active  [3] prioritized  [4] delayed  [5] completed  [6] failed  [7] waiting-children
--   [8] paused (BullMQ 5)  [9] meta  [10] limiter  [11] paperjobs:starts  [12] paperjobs:hold  [13] paperjobs:leader
--   [14] paperjobs:cancel
--   ARGV[1] key prefix "<prefix>:<queue>:"   ARGV[2] max (0: no limit)   ARGV[3] per (ms)
--   ARGV[4] retention (ms)   ARGV[5] entries kept   ARGV[6] installation   ARGV[7] term   ARGV[8] what our tokens begin with
-- Returns {now, paused, {waiting, delayed, active, completed, failed, waiting-children}, next delayed (ms or -1),
--   window used, window opens at (ms or -1), held until (ms or -1), meta concurrency or "",
--   {{id, ats, pb or "" when it is of an earlier claim, lock, pjl, atm, progress}, …}, the server's run id,
--   {id of a job to be cancelled, request, …}}; absent hash fields are "".
-- Error FENCED: a later term has begun.
if is_fenced(KEYS[13], ARGV[6], ARGV[7]) then
  return redis.error_reply("FENCED another replica leads now")
end
local now = server_now()
local max, per = tonumber(ARGV[2]), tonumber(ARGV[3])

local jobs = {}
for _, id in ipairs(redis.call("LRANGE", KEYS[2], 0, -1)) do
  local key = ARGV[1] .. id
  -- pcall: a key that is no hash must not blind us to the other jobs.
  local fields = redis.pcall("HMGET", key, "ats", "pb", "pjl", "atm", "progress", "processedOn", "pjc")
  local lock = redis.pcall("GET", key .. ":lock")
  lock = type(lock) == "string" and lock
  local claimer = fields[2] or ""
  local claimed = fields[7] == claimer .. ":" .. (fields[1] or "")
  if string.sub(claimer, 1, #ARGV[8]) == ARGV[8] and not claimed then
    claimer = ""  -- That claim of ours is over: a worker without a name has claimed the job since.
  end
  local ours = claimed and (not lock or lock == claimer)
  local since = tonumber(fields[6] or nil)
  if not ours and since and now - since <= per then
    -- A foreign worker's start counts too, as far as it is seen: what it took must not be taken again.
    local start = "foreign:" .. id .. ":" .. (fields[1] or "")
    local counted = redis.call("ZSCORE", KEYS[11], start) or redis.call("ZSCORE", KEYS[11], claimer)
    if not counted then
      remember_start(KEYS[11], start, math.min(now, since), max, per, tonumber(ARGV[4]), tonumber(ARGV[5]))
    end
  end
  jobs[#jobs + 1] = {id, fields[1] or "", claimer, lock or "", fields[3] or "", fields[4] or "", fields[5] or ""}
end

local cancels = {}
local requests = redis.call("HGETALL", KEYS[14])
for n = 1, #requests, 2 do
  -- A request is about the job that had this id then, not about another that was added under it since.
  local created = redis.pcall("HGET", ARGV[1] .. requests[n], "timestamp")
  created = type(created) == "string" and created .. " " or " "
  if string.sub(requests[n + 1], 1, #created) == created then
    cancels[#cancels + 1] = requests[n]
    cancels[#cancels + 1] = requests[n + 1]
  else
    redis.call("HDEL", KEYS[14], requests[n])
  end
end

local delayed = redis.call("ZRANGE", KEYS[4], 0, 0, "WITHSCORES")
-- BullMQ keeps the due time of a delayed job as score / 0x1000.
local next_delayed = delayed[2] and math.floor(tonumber(delayed[2]) / 0x1000) or -1

local used, opens = 0, -1
if max > 0 then
  used = redis.call("ZCOUNT", KEYS[11], now - per, "+inf")
  opens = window_opens_at(KEYS[11], "", now, max, per) or -1
end

local held = tonumber(redis.call("GET", KEYS[12]) or -1)
if held <= now then
  held = -1
end
local meta = redis.call("HMGET", KEYS[9], "paused", "concurrency", "max", "version")
-- BullMQ 5 keeps a paused queue's jobs in `paused`, and its resume() puts that list in the place of `wait`: what came
-- there in between (returned or retried by us) would be lost. It is next, as it would have been.
if meta[1] and (redis.call("EXISTS", KEYS[8]) == 1 or string.find(meta[4] or "", "^bullmq:5%.")) then
  for _ = 1, math.min(redis.call("LLEN", KEYS[1]), 5000) do
    redis.call("LMOVE", KEYS[1], KEYS[8], "LEFT", "RIGHT")
  end
end
-- BullMQ's limiter holds 2^53 - 1 after the app's queue.rateLimit(ms), else the starts of its own fixed window.
-- One that never expires limits nothing there either.
local starts = tonumber(redis.call("GET", KEYS[10]) or 0) or 0
local expires = redis.call("PTTL", KEYS[10])
if expires > 0 and starts >= 9007199254740991 then
  held = math.max(held, now + expires)
elseif expires > 0 and starts > 0 and starts >= (tonumber(meta[3]) or math.huge) then
  opens = math.max(opens, now + expires)
end

local known, server = pcall(redis.call, "INFO", "server")
return {
  string.format("%.0f", now),
  meta[1] and 1 or 0,
  {
    redis.call("LLEN", KEYS[1]) + redis.call("LLEN", KEYS[8]) + redis.call("ZCARD", KEYS[3]),
    redis.call("ZCARD", KEYS[4]),
    #jobs,
    redis.call("ZCARD", KEYS[5]),
    redis.call("ZCARD", KEYS[6]),
    redis.call("ZCARD", KEYS[7]),
  },
  string.format("%.0f", next_delayed),
  used,
  string.format("%.0f", opens),
  string.format("%.0f", held),
  meta[2] or "",
  jobs,
  known and string.match(server, "run_id:(%w+)") or "",
  cancels,
}
