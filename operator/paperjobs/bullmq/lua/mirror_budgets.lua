-- Write the limits of budgets to where runs draw on them.
--   KEYS[1] {paperjobs}:budget-limits  hash: name -> "<max>/<per (ms)>"
--   ARGV[1] milliseconds until the hash is forgotten when nobody writes it again   ARGV[2…] name, limit, …
-- Returns nothing.
redis.call("HSET", KEYS[1], unpack(ARGV, 2))
redis.call("PEXPIRE", KEYS[1], ARGV[1])
