-- Put back the lock of a claim that outlived it, unless the claim is over.
--   KEYS[1] job hash  [2] lock  [3] active  [4] stalled
--   ARGV[1] job id   ARGV[2] token   ARGV[3] lock duration (ms)   ARGV[4] claim number (ats)
-- Returns 1 when the lock is ours again, else 0.
local fields = redis.call("HMGET", KEYS[1], "pb", "ats")
if fields[1] ~= ARGV[2] or fields[2] ~= ARGV[4] then
  return 0
end
local lock = redis.pcall("GET", KEYS[2])
if type(lock) == "string" and lock ~= ARGV[2] then
  return 0
end
local listed = false
for _, id in ipairs(redis.call("LRANGE", KEYS[3], 0, -1)) do
  listed = listed or id == ARGV[1]
end
if not listed then
  return 0
end
redis.call("SET", KEYS[2], ARGV[2], "PX", ARGV[3])
redis.call("SREM", KEYS[4], ARGV[1])
return 1
