-- concurrency: a limit on the number of requests that are in progress at the same time. Each of them holds a permit.
--
-- The sorted set has one member for each permit. The score is the time at which the lease of the permit ends, on the
-- clock of the server in microseconds. A member has the name `process-request/lease`: the id of the request that holds
-- the permit, and the lease in microseconds. Further permits of the request have the names `process-request/lease:2` and
-- so on. A permit is valid until its score; a renewal sets a later score, but never revives a permit that has expired.
--
-- The cost is O(log n) for each permit that is taken, renewed or released, where n is the number of members.

function algorithms.concurrency()
  -- Calls `callback` with the names of the permits of a request. Each call gets at most 1,000 names, because `unpack`
  -- in Lua can return only a few thousand values.
  local function each_permit_chunk(quota, holder, count, callback)
    local name = holder .. '/' .. whole(quota.window)
    for first = 1, count, 1000 do
      local names = {}
      for permit = first, min(first + 999, count) do
        names[#names + 1] = permit == 1 and name or name .. ':' .. permit
      end
      callback(names)
    end
  end

  -- Sets the end of the lease of these permits. Adds the permits that do not exist.
  local function set_expiry(key, names, expiry)
    local members = {}
    for _, name in ipairs(names) do
      members[#members + 1] = expiry
      members[#members + 1] = name
    end
    call('ZADD', key, unpack(members))
  end

  local concurrency = {}

  function concurrency.new(key, quota)
    return {
      key = key,
      quota = quota,
      used = 0,
      taken = false,
      is_stale = false,
      -- The end of the last lease in Redis.
      newest = 0,
      -- The id and the number of permits of each request that takes permits.
      additions = {},
    }
  end

  function concurrency.load(key, quota)
    local last = typed(redis.pcall('ZRANGE', key, '-1', '-1', 'WITHSCORES'))
    if not last then
      return nil
    end
    local bucket = concurrency.new(key, quota)
    bucket.newest = tonumber(last[2]) or 0
    local latest = now + quota.window
    if bucket.newest > latest then
      -- Either the clock was set back, or the quota of another process has a longer lease. Each lease ends at most one
      -- lease of its holder from now.
      local late = call('ZRANGEBYSCORE', key, '(' .. whole(latest), '+inf', 'WITHSCORES')
      bucket.newest = latest
      for i = 1, #late, 2 do
        local lease = tonumber(string.match(late[i], '/(%d+)')) or quota.window
        local expiry = min(tonumber(late[i + 1]), now + lease)
        if expiry < tonumber(late[i + 1]) then
          call('ZADD', key, whole(expiry), late[i])
        end
        bucket.newest = max(bucket.newest, expiry)
      end
      expire_after(key, bucket.newest - now)
    end
    bucket.used = bucket.newest > now and call('ZCOUNT', key, '(' .. whole(now), '+inf') or 0
    return bucket
  end

  -- The wait is the time until enough leases end if no lease is renewed.
  function concurrency.wait_for(bucket, permits)
    local key, window, taken = bucket.key, bucket.quota.window, bucket.taken or 0
    local excess = bucket.used + permits - bucket.quota.capacity
    if excess <= 0 then
      return 0
    end
    -- The leases in Redis that end before the leases of the permits that this script call takes.
    local earlier = bucket.used - taken
    if bucket.newest > now + window then
      earlier = call('ZCOUNT', key, '(' .. whole(now), whole(now + window))
    end
    if excess > earlier and excess <= earlier + taken then
      return window
    end
    local offset = excess <= earlier and excess - 1 or excess - taken - 1
    local limit = whole(offset)
    local found = call('ZRANGEBYSCORE', key, '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', limit, '1')
    return tonumber(found[2]) - now
  end

  function concurrency.add(bucket, permits, id)
    local additions = bucket.additions
    local count = #additions
    additions[count + 1], additions[count + 2] = id, permits
  end

  function concurrency.save(bucket)
    local key, quota = bucket.key, bucket.quota
    local expiry = now + quota.window
    -- Call ZADD before the other commands, because ZADD needs memory. If Redis has no memory left, it rejects ZADD,
    -- and the script has not changed the key yet.
    local additions = bucket.additions
    for i = 1, #additions, 2 do
      local holder = ARGV[1] .. '-' .. whole(additions[i])
      each_permit_chunk(quota, holder, additions[i + 1], function(names)
        set_expiry(key, names, whole(expiry))
      end)
    end
    bucket.is_written = true
    call('ZREMRANGEBYSCORE', key, '-inf', whole(now))
    expire_after(key, max(bucket.newest, expiry) - now)
  end

  function concurrency.refund(bucket, permits, holder)
    local key = bucket.key
    each_permit_chunk(bucket.quota, holder, permits, function(names)
      call('ZREM', key, unpack(names))
    end)
  end

  function concurrency.reset(bucket)
    call('DEL', bucket.key)
  end

  -- Returns whether the holder still has these permits.
  function concurrency.is_held(bucket, permits, holder)
    local is_held = true
    each_permit_chunk(bucket.quota, holder, permits, function(names)
      for _, name in ipairs(names) do
        local expiry = is_held and call('ZSCORE', bucket.key, name)
        is_held = expiry and tonumber(expiry) > now
      end
    end)
    return is_held
  end

  -- Starts a new lease of these permits. The holder must still have them.
  function concurrency.renew(bucket, permits, holder)
    local key, expiry = bucket.key, now + bucket.quota.window
    each_permit_chunk(bucket.quota, holder, permits, function(names)
      set_expiry(key, names, whole(expiry))
    end)
    expire_after(key, max(bucket.newest, expiry) - now)
  end

  return concurrency
end

