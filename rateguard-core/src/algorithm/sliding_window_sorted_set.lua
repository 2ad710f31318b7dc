-- sliding_window_sorted_set: the log of sliding_window as a sorted set, so operators can read the log with Redis
-- commands.
--
-- The log is a sorted set with one member for each admitted unit. The score is the server's time in microseconds. The
-- first unit of a request has the name `process-request`: the id of the process and the id of the request. Further
-- units have the names `process-request:2` and so on, so a refund can find the units of its request. A unit at t counts
-- during [t, t + window). Costs O(log n) for each unit, where n is the number of live members. A member that has
-- expired costs O(log n) more, and so does a member from the future after the clock was set back.

function algorithms.sliding_window_sorted_set()
  local sorted_set = {}

  -- Calls `callback` with the names of a request's units, in chunks of 1,000. Lua's `unpack` has a limit of a few
  -- thousand.
  local function each_name_chunk(name, units, callback)
    for first = 1, units, 1000 do
      local names = {}
      for unit = first, math.min(first + 999, units) do
        names[#names + 1] = unit == 1 and name or name .. ':' .. unit
      end
      callback(names)
    end
  end

  function sorted_set.new(key, quota)
    local bucket = { key = key, quota = quota }
    sorted_set.empty(bucket)
    return bucket
  end

  function sorted_set.load(bucket)
    local key = bucket.key
    local last = call_typed('ZRANGE', key, -1, -1, 'WITHSCORES')
    if not last then
      return false
    end
    bucket.newest = tonumber(last[2]) or 0
    -- If the clock was set back, units from the future count as taken now. Otherwise they would count for longer than
    -- one window.
    if bucket.newest > now then
      for _, name in ipairs(call('ZRANGEBYSCORE', key, '(' .. whole(now), '+inf')) do
        call('ZADD', key, whole(now), name)
      end
      bucket.newest = now
      expire_after(key, bucket.quota.window)
    end
    bucket.live = call('ZCOUNT', key, bucket.live_from, '+inf')
    bucket.stored = bucket.live
    return true
  end

  function sorted_set.empty(bucket)
    bucket.newest, bucket.live, bucket.stored = 0, 0, 0
    -- A list of pairs: the id of a request, and the number of units that the script adds for this request.
    bucket.added = {}
    bucket.live_from = '(' .. whole(now - bucket.quota.window)
  end

  function sorted_set.used(bucket)
    return bucket.live
  end

  function sorted_set.wait_for(bucket, units)
    -- The oldest `excess` units must expire first. `excess` is larger than `units` only if the limit was lowered, or a
    -- debit exceeded the capacity.
    local excess = bucket.live + units - bucket.quota.capacity
    if excess <= 0 then
      return 0
    end
    if excess > bucket.stored then
      -- The last excess unit is one that this batch adds now.
      return bucket.quota.window
    end
    -- Cached, because many requests of a batch wait for the same unit.
    if bucket.excess ~= excess then
      local range = { bucket.key, bucket.live_from, '+inf', 'WITHSCORES', 'LIMIT', excess - 1, 1 }
      bucket.excess, bucket.last_excess_at = excess, call('ZRANGEBYSCORE', unpack(range))[2]
    end
    return bucket.last_excess_at + bucket.quota.window - now
  end

  function sorted_set.add(bucket, units, id)
    bucket.live = bucket.live + units
    local length = #bucket.added
    bucket.added[length + 1], bucket.added[length + 2] = id, units
  end

  function sorted_set.save(bucket)
    local key, window = bucket.key, bucket.quota.window
    -- Call ZADD first, because ZADD needs memory: a Redis server without memory rejects ZADD before the script has
    -- changed the key.
    for i = 1, #bucket.added, 2 do
      local request = ARGV[1] .. '-' .. whole(bucket.added[i])
      each_name_chunk(request, bucket.added[i + 1], function(names)
        local members = {}
        for _, name in ipairs(names) do
          members[#members + 1] = whole(now)
          members[#members + 1] = name
        end
        call('ZADD', key, unpack(members))
      end)
    end
    call('ZREMRANGEBYSCORE', key, '-inf', whole(now - window))
    expire_after(key, window)
  end

  function sorted_set.refresh_expiry(bucket)
    -- The expiry may have been set for a shorter window.
    local needed = bucket.newest + bucket.quota.window - now
    if bucket.newest > 0 and call('PTTL', bucket.key) * 1000 < needed then
      expire_after(bucket.key, bucket.quota.window)
    end
  end

  function sorted_set.refund(bucket, units, taken_by)
    each_name_chunk(taken_by, units, function(names)
      call('ZREM', bucket.key, unpack(names))
    end)
  end

  function sorted_set.reset(bucket)
    call('DEL', bucket.key)
  end

  return sorted_set
end

