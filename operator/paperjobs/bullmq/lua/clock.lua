-- The server's clock, by which every limit is counted. Not a script: others begin with it.

local function server_now()
  local time = redis.call("TIME")
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
