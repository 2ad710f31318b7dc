-- sliding_window_sorted_set: the same log as that of sliding_window, in a form that commands can read.
--
-- The log is a sorted set: one member for each admitted unit, its score the server's time in microseconds. Its name is
-- `process-request`, the ids of who took it, and for further units of that request `process-request:2` and so on.
-- A unit at t counts during [t, t + window).
-- Costs O(log n) for n live members for each unit, plus O(log n) for each member that has expired or, after the clock was
-- set back, is in the future.

function algorithms.sliding_window_sorted_set()
  local sorted_set = {}

  -- Calls `act` with the names of a request's units, a thousand at a time: Lua cannot pass many more at once.
  local function each_thousand(name, units, act)
    for first = 1, units, 1000 do
      local names = {}
      for unit = first, math.min(first + 999, units) do
        names[#names + 1] = unit == 1 and name or name .. ':' .. unit
      end
      act(names)
    end
  end

  function sorted_set.new(key, quota)
    local bucket = { key = key, quota = quota }
    sorted_set.empty(bucket)
    return bucket
  end

  function sorted_set.load(bucket)
    local key = bucket.key
    local last = try('ZRANGE', key, -1, -1, 'WITHSCORES')
    if not last then
      return false
    end
    bucket.newest = tonumber(last[2]) or 0
    -- The clock was set back: units from its future count as if they came now, for one window at most.
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
    -- By turns the id of a request, and how many units it adds.
    bucket.added = {}
    bucket.live_from = '(' .. whole(now - bucket.quota.window)
  end

  function sorted_set.used(bucket)
    return bucket.live
  end

  function sorted_set.until_room(bucket, units)
    -- All but `capacity - units` of the live ones must leave. More than the capacity are live only if the limit was
    -- higher before, or more was charged than there was room for.
    local leaving = bucket.live + units - bucket.quota.capacity
    if leaving <= 0 then
      return 0
    end
    if leaving > bucket.stored then
      -- The last of them is added now.
      return bucket.quota.window
    end
    -- Many requests of a batch look for the same unit.
    if bucket.leaving ~= leaving then
      local range = { bucket.key, bucket.live_from, '+inf', 'WITHSCORES', 'LIMIT', leaving - 1, 1 }
      bucket.leaving, bucket.leaving_at = leaving, call('ZRANGEBYSCORE', unpack(range))[2]
    end
    return bucket.leaving_at + bucket.quota.window - now
  end

  function sorted_set.add(bucket, units, id)
    bucket.live = bucket.live + units
    local number = #bucket.added
    bucket.added[number + 1], bucket.added[number + 2] = id, units
  end

  function sorted_set.save(bucket)
    local key, window = bucket.key, bucket.quota.window
    -- First what needs memory: if there is none, the server refuses it, and nothing has been written.
    for place = 1, #bucket.added, 2 do
      local request = ARGV[1] .. '-' .. whole(bucket.added[place])
      each_thousand(request, bucket.added[place + 1], function(names)
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

  function sorted_set.keep(bucket)
    -- The key was to outlive a shorter window.
    local lasts = bucket.newest + bucket.quota.window - now
    if bucket.newest > 0 and call('PTTL', bucket.key) * 1000 < lasts then
      expire_after(bucket.key, bucket.quota.window)
    end
  end

  function sorted_set.give_back(bucket, units, taken_by)
    each_thousand(taken_by, units, function(names)
      call('ZREM', bucket.key, unpack(names))
    end)
  end

  function sorted_set.reset(bucket)
    call('DEL', bucket.key)
  end

  return sorted_set
end

