-- The strict sliding window over a queue's starts, and the fence of the leading replica. Not a script: the others
-- begin with it. A start is a member of a sorted set: lock token -> when it was made (ms, server clock).

-- When the next start may be made, or nil when one may be made now. A start of `token` itself does not count: it is
-- about to be made anew.
local function window_opens_at(starts, token, now, max, per)
  -- A start leaves the window only when it is more than `per` old, so that a closed interval holds at most max.
  local from = now - per
  local used = redis.call("ZCOUNT", starts, from, "+inf")
  local own = tonumber(redis.call("ZSCORE", starts, token) or -1)
  if own >= from then
    used = used - 1
  end
  if max == 0 or used < max then
    return nil
  end
  local inside = redis.call("ZRANGEBYSCORE", starts, from, "+inf", "WITHSCORES")
  local leaving = used - max + 1
  for i = 1, #inside, 2 do
    if inside[i] ~= token then
      leaving = leaving - 1
      if leaving == 0 then
        return tonumber(inside[i + 1]) + per + 1
      end
    end
  end
end

-- Older starts stay for a while: a window that is edited to be longer must still see them.
local function remember_start(starts, token, now, max, per, retention, kept)
  redis.call("ZADD", starts, now, token)
  local longest = math.max(per, retention)
  redis.call("ZREMRANGEBYSCORE", starts, "-inf", "(" .. string.format("%.0f", now - longest))
  redis.call("ZREMRANGEBYRANK", starts, 0, -math.max(max, kept) - 1)
  redis.call("PEXPIRE", starts, longest + 1000)
end

-- Whether a replica of a later term of the same installation has begun to act. The mark expires when nobody leads for
-- an hour: terms that were counted anew (a Lease restored from a backup) must not be refused for ever.
local function is_fenced(leader, installation, term)
  local newest = tonumber(redis.call("HGET", leader, installation) or -1)
  if newest > tonumber(term) then
    return true
  end
  if newest < tonumber(term) then
    redis.call("HSET", leader, installation, term)
  end
  if redis.call("PTTL", leader) < 1800000 then
    redis.call("PEXPIRE", leader, 3600000)
  end
  return false
end

-- What stands against a start of `token` at `now`: an error when a later term has begun, else the time (ms) at which the
-- hold or the window opens; nil when nothing does.
local function start_refused(starts, hold, leader, token, now, max, per, installation, term)
  if is_fenced(leader, installation, term) then
    return redis.error_reply("FENCED another replica leads now")
  end
  local held = tonumber(redis.call("GET", hold) or 0)
  if held > now then
    return held
  end
  return window_opens_at(starts, token, now, max, per)
end
