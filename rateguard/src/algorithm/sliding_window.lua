-- sliding_window: at most `limit` admitted units in any window, exactly.
--
-- The log is a sorted set: one member for each admitted unit, its score the server's time in microseconds. Its name is
-- that of the call, and of the further units of a call `call:2` and so on.
-- A unit at t counts during [t, t + window).
-- Costs O(log n) for n live members for each unit, plus O(log n) for each member that has expired or, after the clock was
-- set back, is in the future.

function algorithms.sliding_window(charge)
  local key, window, capacity = charge.key, charge.window, charge.capacity
  local sliding_window = {}

  -- The names of a call's units from the first on, a thousand at a time: Lua can't pass many more at once.
  local function each_thousand(name, units, act)
    for first = 1, units, 1000 do
      local names = {}
      for unit = first, math.min(first + 999, units) do
        names[#names + 1] = unit == 1 and name or name .. ':' .. unit
      end
      act(names)
    end
  end

  function sliding_window.load()
    local last = try('ZRANGE', key, -1, -1, 'WITHSCORES')
    if not last then
      return nil
    end
    local newest = tonumber(last[2]) or 0
    -- The clock was set back: units from its future count as if they came now, for one window at most.
    if newest > now then
      for _, name in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. whole(now), '+inf')) do
        redis.call('ZADD', key, whole(now), name)
      end
      newest = now
      expire_after(key, window)
    end
    local live_from = '(' .. whole(now - window)
    local live = redis.call('ZCOUNT', key, live_from, '+inf')
    return { newest = newest, live_from = live_from, live = live, stored = live, added = 0 }
  end

  function sliding_window.empty()
    return { newest = 0, live_from = '(' .. whole(now - window), live = 0, stored = 0, added = 0 }
  end

  function sliding_window.used(state)
    return state.live
  end

  function sliding_window.until_room(state, units)
    -- All but `capacity - units` of the live ones must leave. More than the capacity are live only if the limit was
    -- higher before, or more was charged than there was room for.
    local leaving = state.live + units - capacity
    if leaving <= 0 then
      return 0
    end
    if leaving > state.stored then
      -- The last of them is added now.
      return window
    end
    local last = redis.call('ZRANGEBYSCORE', key, state.live_from, '+inf', 'WITHSCORES', 'LIMIT', leaving - 1, 1)
    return last[2] + window - now
  end

  function sliding_window.add(state, units)
    -- Beyond the capacity it makes no difference: all of them leave at the same moment.
    local added = math.min(units, capacity)
    state.live = state.live + added
    state.added = state.added + added
  end

  function sliding_window.save(state)
    -- First what needs memory: if there is none, the server refuses it, and nothing has been written.
    each_thousand(call, state.added, function(names)
      local members = {}
      for _, name in ipairs(names) do
        members[#members + 1] = whole(now)
        members[#members + 1] = name
      end
      redis.call('ZADD', key, unpack(members))
    end)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now - window))
    expire_after(key, window)
  end

  function sliding_window.keep(state)
    -- The key was to outlive a shorter window.
    if state.newest > 0 and redis.call('PTTL', key) * 1000 < state.newest + window - now then
      expire_after(key, window)
    end
  end

  function sliding_window.give_back(units, taken_by)
    each_thousand(taken_by, units, function(names)
      try('ZREM', key, unpack(names))
    end)
  end

  function sliding_window.reset()
    redis.call('DEL', key)
  end

  return sliding_window
end

