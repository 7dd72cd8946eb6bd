-- Reserve one start in the strict sliding window, or say when to ask again. A token that has a start already gives it
-- up for the new one: its launch was held up, and it is the launch that counts.
--   KEYS[1] <prefix>:<queue>:paperjobs:starts  sorted set: token -> time of the start (ms, server clock)
--   KEYS[2] <prefix>:<queue>:paperjobs:hold    string: admit nothing before this time (ms), expires then
--   KEYS[3] <prefix>:<queue>:paperjobs:leader  hash: installation -> newest term of leadership seen here
--   ARGV[1] token   ARGV[2] max (0: no limit)   ARGV[3] per (ms)   ARGV[4] retention (ms)   ARGV[5] entries kept
--   ARGV[6] installation   ARGV[7] term
-- Returns 0 when reserved, else the time (ms) at which the window or hold opens. Error FENCED: a later term has begun.
local now, max, per = server_now(), tonumber(ARGV[2]), tonumber(ARGV[3])
local refused = start_refused(KEYS[1], KEYS[2], KEYS[3], ARGV[1], now, max, per, ARGV[6], ARGV[7])
if refused then
  return refused
end
remember_start(KEYS[1], ARGV[1], now, max, per, tonumber(ARGV[4]), tonumber(ARGV[5]))
return 0
