-- sliding_window: at most `limit` admitted requests in any window, exactly.
--
-- The log is a sorted set: one member for each admitted request, its score the server's time in microseconds.
-- A request at t counts during [t, t + window).
-- Costs O(log n) for n live members, plus O(log n) for each member that has expired or, after the clock was set back,
-- is in the future.

function algorithms.sliding_window()
  local sliding_window = {}

  function sliding_window.load()
    local last = read('ZRANGE', key, -1, -1, 'WITHSCORES')
    if not last then
      return nil
    end
    local newest = tonumber(last[2]) or 0
    -- The clock was set back: requests from its future count as if they came now, for one window at most.
    if newest > now then
      for _, name in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. whole(now), '+inf')) do
        redis.call('ZADD', key, whole(now), name)
      end
      newest = now
      expire_after(window)
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

  function sliding_window.until_room(state, places)
    -- All but `capacity - places` of the live ones must leave. More than the capacity are live only if the limit was
    -- higher before.
    local leaving = state.live + places - capacity
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

  function sliding_window.add(state, requests)
    state.live = state.live + requests
    state.added = state.added + requests
  end

  function sliding_window.save(state)
    -- First what needs memory: if there is none, the server refuses it, and nothing has been written.
    redis.call('ZADD', key, whole(now), member)
    for copy = 2, state.added do
      redis.call('ZADD', key, whole(now), member .. ':' .. copy)
    end
    redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now - window))
    expire_after(window)
  end

  function sliding_window.keep(state)
    -- The key was to outlive a shorter window.
    if redis.call('PTTL', key) * 1000 < state.newest + window - now then
      expire_after(window)
    end
  end

  return sliding_window
end

