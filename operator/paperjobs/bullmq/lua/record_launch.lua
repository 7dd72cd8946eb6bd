-- Remember in the job's hash that the run of this claim exists. A field of the hash goes when the job goes.
--   KEYS[1] job hash  [2] active
--   ARGV[1] job id   ARGV[2] token   ARGV[3] claim number (ats)
-- Returns 1 when recorded, 0 when the claim is over.
local fields = redis.call("HMGET", KEYS[1], "pb", "ats")
if fields[1] ~= ARGV[2] or fields[2] ~= ARGV[3] then
  return 0
end
for _, id in ipairs(redis.call("LRANGE", KEYS[2], 0, -1)) do
  if id == ARGV[1] then
    redis.call("HSET", KEYS[1], "pjl", ARGV[2] .. ":" .. ARGV[3])
    return 1
  end
end
return 0
