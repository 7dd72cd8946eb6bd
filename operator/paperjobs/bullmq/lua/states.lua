-- The states of some jobs, for reporting.
--   KEYS[1] active  [2] delayed  [3] completed  [4] failed
--   ARGV[1] key prefix "<prefix>:<queue>:"   ARGV[2…] job ids
-- Returns for each id {state, atm, progress, failedReason, returnvalue, finishedOn, delayed until (ms)}; state is
-- "" for a job that does not exist, and "waiting" for one that is in none of the four.
local active = {}
for _, id in ipairs(redis.call("LRANGE", KEYS[1], 0, -1)) do
  active[id] = true
end
local states = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local fields = redis.call("HMGET", ARGV[1] .. id, "timestamp", "atm", "progress", "failedReason", "returnvalue", "finishedOn")
  local state, due = "", ""
  if fields[1] then
    local delayed = redis.call("ZSCORE", KEYS[2], id)
    if active[id] then
      state = "active"
    elseif delayed then
      state, due = "delayed", string.format("%.0f", math.floor(tonumber(delayed) / 0x1000))
    elseif redis.call("ZSCORE", KEYS[3], id) then
      state = "completed"
    elseif redis.call("ZSCORE", KEYS[4], id) then
      state = "failed"
    else
      state = "waiting"
    end
  end
  states[#states + 1] = {state, fields[2] or "", fields[3] or "", fields[4] or "", fields[5] or "", fields[6] or "", due}
end
return states
