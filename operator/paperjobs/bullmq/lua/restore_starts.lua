-- Put back starts that Redis lost (a restart or failover without its last writes). One that is known stays as it is.
--   KEYS[1] <prefix>:<queue>:paperjobs:starts
--   ARGV[1] retention (ms)   ARGV[2…] token, time (ms), token, time …
-- Returns how many were missing. A time later than now counts as now.
local now = server_now()
local missing = 0
for i = 2, #ARGV, 2 do
  missing = missing + redis.call("ZADD", KEYS[1], "NX", math.min(now, tonumber(ARGV[i + 1])), ARGV[i])
end
if missing > 0 then
  redis.call("PEXPIRE", KEYS[1], tonumber(ARGV[1]) + 1000)
end
return missing
