-- Read an active job again, unless its claim is over: `pb` and `ats` outlive the claim, the place in `active` does not.
--   KEYS[1] job hash  [2] active
--   ARGV[1] job id   ARGV[2] token   ARGV[3] claim number (ats)
-- Returns the hash as {name, value, …}, or {} when the claim is over.
local fields = redis.call("HMGET", KEYS[1], "pb", "ats")
if fields[1] ~= ARGV[2] or fields[2] ~= ARGV[3] then
  return {}
end
for _, id in ipairs(redis.call("LRANGE", KEYS[2], 0, -1)) do
  if id == ARGV[1] then
    return redis.call("HGETALL", KEYS[1])
  end
end
return {}
