-- Leave the line before a budget: the call will not be made, and whoever is next moves up.
--   KEYS[1] {paperjobs}:budget:<name>:line  sorted set: "<arrival (µs)>:<call>" -> planned instant (ms)
--   ARGV[1] call: its place may be unknown, when the answer of draw.lua was interrupted
-- Returns how many places were given back.
local given = 0
for _, member in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do
  if string.sub(member, -#ARGV[1] - 1) == ":" .. ARGV[1] then
    given = given + redis.call("ZREM", KEYS[1], member)
  end
end
return given
