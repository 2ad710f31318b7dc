-- sliding_window_sorted_set: the same algorithm as sliding_window, but the log is a sorted set, which operators can
-- read with Redis commands.
--
-- The sorted set has one member for each admitted unit. The score is the time of the server in microseconds. The
-- first unit of a request has the name `process-request`, which consists of the id of the process and the id of the
-- request. Further units of the request have the names `process-request:2`, `process-request:3` and so on, so a
-- refund can find the units of its request. A unit that is taken at t counts during [t, t + window).
--
-- The cost is O(log n) for each unit, where n is the number of live members. The script also needs O(log n) for each
-- expired member that it removes. After the clock was set back, it also needs O(log n) for each member from the
-- future, because it changes the score of this member.

function algorithms.sliding_window_sorted_set()
  -- The request id in the names of converted units, which come from the state of another algorithm. No request has
  -- this id, because the ids of requests start at 1.
  local CONVERSION = 0

  -- Calls `callback` with the names of all units of a request. Each call gets at most 1,000 names, because `unpack`
  -- in Lua can return only a few thousand values.
  local function each_name_chunk(name, units, callback)
    for first = 1, units, 1000 do
      local names = {}
      for unit = first, math.min(first + 999, units) do
        names[#names + 1] = unit == 1 and name or name .. ':' .. unit
      end
      callback(names)
    end
  end

  local function read_time(bucket, n)
    local rank = whole(-n)
    return tonumber(call('ZRANGE', bucket.key, rank, rank, 'WITHSCORES')[2])
  end

  local function add_members(key, id, units)
    each_name_chunk(ARGV[1] .. '-' .. whole(id), units, function(names)
      local members = {}
      for _, name in ipairs(names) do
        members[#members + 1] = whole(now)
        members[#members + 1] = name
      end
      call('ZADD', key, unpack(members))
    end)
  end

  -- Returns the time of the n-th unit in Redis. The newest unit has the number 1. The script reads the time of each
  -- unit at most once, because many requests of a batch may wait until the same unit expires.
  local function time_of(bucket, n)
    local times = bucket.times
    local time = times[n]
    if not time then
      time = read_time(bucket, n)
      times[n] = time
    end
    return time
  end

  local sorted_set = exact_log(time_of)

  sorted_set.refresh = extend_expiry

  function sorted_set.new(key, quota, used)
    -- `additions` has the id and the units of each request that takes units. `times` is the cache of `time_of`.
    return {
      key = key,
      quota = quota,
      used = used,
      taken = false,
      -- The log does not have the window for which the expiry was set.
      is_stale = true,
      newest = 0,
      additions = {},
      times = {},
    }
  end

  function sorted_set.load(key, quota)
    local last = typed(redis.pcall('ZRANGE', key, '-1', '-1', 'WITHSCORES'))
    if not last then
      return nil
    end
    local bucket = sorted_set.new(key, quota, 0)
    bucket.newest = tonumber(last[2]) or 0
    -- If the clock was set back, some units are from the future. They count as taken now, because they would
    -- otherwise count for longer than one window.
    if bucket.newest > now then
      for _, name in ipairs(call('ZRANGEBYSCORE', key, '(' .. whole(now), '+inf')) do
        call('ZADD', key, whole(now), name)
      end
      bucket.newest = now
      expire_after(key, quota.window)
    end
    bucket.used = call('ZCOUNT', key, '(' .. whole(now - quota.window), '+inf')
    return bucket
  end

  function sorted_set.add(bucket, units, id)
    local additions = bucket.additions
    local length = #additions
    additions[length + 1], additions[length + 2] = id, units
  end

  function sorted_set.save(bucket)
    local key, window = bucket.key, bucket.quota.window
    -- Call ZADD before the other commands, because ZADD needs memory. If Redis has no memory left, it rejects ZADD,
    -- and the script has not changed the key yet.
    if bucket.converted then
      add_members(key, CONVERSION, bucket.converted)
    end
    local additions = bucket.additions
    for i = 1, #additions, 2 do
      add_members(key, additions[i], additions[i + 1])
    end
    bucket.is_written = true
    call('ZREMRANGEBYSCORE', key, '-inf', whole(now - window))
    expire_after(key, window)
  end

  function sorted_set.refund(bucket, units, taken_by)
    each_name_chunk(taken_by, units, function(names)
      call('ZREM', bucket.key, unpack(names))
    end)
  end

  return sorted_set
end

