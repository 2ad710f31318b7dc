-- sliding_window_sorted_set: the same algorithm as sliding_window, but the log is a sorted set, which operators can
-- read with Redis commands.
--
-- The sorted set has one member for each admitted unit. The score is the time of the server in microseconds. The
-- first unit of a request has the name `process-request`, which consists of the id of the process and the id of the
-- request. Further units of the request have the names `process-request:2`, `process-request:3` and so on, so a
-- refund can find the units of its request. A unit that is taken at t counts during [t, t + window).
--
-- The units of a lease are from the future: a process takes them in one step, and uses them until the lease ends. Their
-- score is the time at which the lease ends, so they count from the grant until at least one window after their use.
-- Their names are `process-request/duration`, with the duration of the lease in microseconds, then
-- `process-request/duration:2` and so on. The return of a lease moves each used unit to an upper bound of the time of
-- its use, and removes the other units. It adds no unit, and moves none to a later time, so it may be repeated.
--
-- The cost is O(log n) for each unit, where n is the number of live members. The script also needs O(log n) for each
-- expired member that it removes. After the clock was set back, it also needs O(log n) for each member from the
-- future, because it may change the score of this member.

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

  local function add_members(key, name_of_first, units, time)
    each_name_chunk(name_of_first, units, function(names)
      local members = {}
      for _, name in ipairs(names) do
        members[#members + 1] = whole(time)
        members[#members + 1] = name
      end
      call('ZADD', key, unpack(members))
    end)
  end

  local function name_of(id)
    return ARGV[1] .. '-' .. whole(id)
  end

  -- Returns the name of the first unit of the lease that the request with the id `by` has taken.
  local function lease_name(by, quota)
    return by .. '/' .. whole(quota.lease)
  end

  -- Returns the time until which a unit with this name may be in the future: the end of a lease that is granted now.
  -- This is the time `now` for a unit without a lease.
  local function latest_time(name)
    return now + (tonumber(string.match(name, '/(%d+)')) or 0)
  end

  -- Corrects the times that are later than a lease from now, because the clock was set back. A unit of a lease counts
  -- as taken at the end of its lease, and any other unit as taken now, because they would otherwise count for longer.
  -- Returns the time of the newest unit.
  local function correct_late_times(key, quota)
    local late = call('ZRANGEBYSCORE', key, '(' .. whole(now + quota.lease), '+inf', 'WITHSCORES')
    for i = 1, #late, 2 do
      local latest = latest_time(late[i])
      if tonumber(late[i + 1]) > latest then
        call('ZADD', key, whole(latest), late[i])
      end
    end
    local newest = tonumber(call('ZRANGE', key, '-1', '-1', 'WITHSCORES')[2])
    expire_after(key, newest - now + quota.window)
    return newest
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

  function sorted_set.reset(bucket)
    -- A process may still use the units of its lease, which are from the future.
    call('ZREMRANGEBYSCORE', bucket.key, '-inf', whole(now))
  end

  local wait_without_leases = sorted_set.wait_for

  function sorted_set.wait_for(bucket, units)
    local quota, leased = bucket.quota, bucket.leased
    local excess = bucket.used + units - quota.capacity
    if excess <= 0 or bucket.future + leased == 0 then
      return wait_without_leases(bucket, units)
    end
    -- The units expire in this order: the past units in Redis, the units that this script call takes now, and the units
    -- from the future. Those of the leases that this script call grants come after the units in Redis with the same
    -- time.
    local added = (bucket.taken or 0) - leased
    local stored = bucket.used - added - leased
    if excess > stored - bucket.future then
      if excess <= stored - bucket.future + added then
        return quota.window
      end
      excess = excess - added
    end
    local earlier = stored
    if leased > 0 and bucket.newest > now + quota.lease then
      earlier = stored - call('ZCOUNT', bucket.key, '(' .. whole(now + quota.lease), '+inf')
    end
    if excess > earlier then
      if excess <= earlier + leased then
        return quota.lease + quota.window
      end
      excess = excess - leased
    end
    local time = time_of(bucket, stored - excess + 1)
    return time + quota.window - now
  end

  function sorted_set.new(key, quota, used)
    -- `additions` has the id and the units of each request that takes units, and `leases` those of each request that
    -- takes them for a lease. `leased` is the number of units in `leases`, and `future` the number of units in Redis
    -- that are from the future. `times` is the cache of `time_of`.
    return {
      key = key,
      quota = quota,
      used = used,
      taken = false,
      -- The log does not have the window for which the expiry was set.
      is_stale = true,
      newest = 0,
      additions = {},
      leases = {},
      leased = 0,
      future = 0,
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
    -- Another process may have a longer lease. Reading all of its units would take too long, so the script reads them
    -- only if the newest unit shows that the clock was set back.
    if bucket.newest > now + quota.lease and bucket.newest > latest_time(last[1]) then
      bucket.newest = correct_late_times(key, quota)
    end
    bucket.used = call('ZCOUNT', key, '(' .. whole(now - quota.window), '+inf')
    if bucket.newest > now then
      bucket.future = call('ZCOUNT', key, '(' .. whole(now), '+inf')
    end
    return bucket
  end

  function sorted_set.add(bucket, units, id, is_lease)
    if units > MAX_LOG_COST then
      -- This can only happen if the quota has another algorithm, and the bucket is a log until a lease ends.
      error(redis.error_reply('ERR too many units for a log with leases'))
    end
    local additions = is_lease and bucket.leases or bucket.additions
    bucket.leased = bucket.leased + (is_lease and units or 0)
    local length = #additions
    additions[length + 1], additions[length + 2] = id, units
  end

  function sorted_set.save(bucket)
    local key, window = bucket.key, bucket.quota.window
    -- Call ZADD before the other commands, because ZADD needs memory. If Redis has no memory left, it rejects ZADD,
    -- and the script has not changed the key yet.
    if bucket.converted then
      add_members(key, name_of(CONVERSION), bucket.converted, now)
    end
    local additions = bucket.additions
    for i = 1, #additions, 2 do
      add_members(key, name_of(additions[i]), additions[i + 1], now)
    end
    local leases, newest = bucket.leases, max(bucket.newest, now)
    for i = 1, #leases, 2 do
      newest = max(newest, now + bucket.quota.lease)
      add_members(key, lease_name(name_of(leases[i]), bucket.quota), leases[i + 1], now + bucket.quota.lease)
    end
    bucket.is_written = true
    call('ZREMRANGEBYSCORE', key, '-inf', whole(now - window))
    expire_after(key, newest - now + window)
  end

  function sorted_set.refund(bucket, units, taken_by)
    each_name_chunk(taken_by, units, function(names)
      call('ZREM', bucket.key, unpack(names))
    end)
  end

  function sorted_set.settle(bucket, units, taken_by, uses)
    local key = bucket.key
    local next_number = string.gmatch(uses, '%d+')
    local granted = tonumber(next_number())
    each_name_chunk(lease_name(taken_by, bucket.quota), units, function(names)
      local unused, moved = {}, {}
      for _, name in ipairs(names) do
        local after = tonumber(next_number() or 0)
        if after == 0 then
          unused[#unused + 1] = name
        else
          moved[#moved + 1] = whole(granted + after)
          moved[#moved + 1] = name
        end
      end
      -- If Redis has no memory left, it rejects ZADD, but not after another command of the script has written.
      if #unused > 0 then
        call('ZREM', key, unpack(unused))
      end
      if #moved > 0 then
        -- Add no unit that has expired or was removed by a reset, and move none to a later time.
        call('ZADD', key, 'XX', 'LT', unpack(moved))
      end
    end)
  end

  return sorted_set
end

