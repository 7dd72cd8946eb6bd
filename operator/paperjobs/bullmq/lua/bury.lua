-- Fail a job of ours that BullMQ's own scripts cannot end, unless its claim is over.
--   KEYS[1] job hash  [2] lock
--   ARGV[1] key prefix "<prefix>:<queue>:"   ARGV[2] job id   ARGV[3] token   ARGV[4] why
-- Returns why it failed, or "" when the claim is over.
local holder = redis.pcall("GET", KEYS[2])
if type(holder) == "string" and holder ~= ARGV[3] then
  return ""
end
if not is_no_job(KEYS[1]) and redis.call("HGET", KEYS[1], "pb") ~= ARGV[3] then
  return ""
end
-- BullMQ's script may have failed when it had taken the job out of `active`, and not yet put it anywhere.
if not redis.call("LPOS", ARGV[1] .. "active", ARGV[2]) then
  for _, list in ipairs({"wait", "paused"}) do
    if redis.call("LPOS", ARGV[1] .. list, ARGV[2]) then
      return ""
    end
  end
  for _, set in ipairs({"delayed", "prioritized", "completed", "failed", "waiting-children"}) do
    if redis.call("ZSCORE", ARGV[1] .. set, ARGV[2]) then
      return ""
    end
  end
end
return bury(ARGV[1], ARGV[2], ARGV[4], string.format("%.0f", server_now()))
