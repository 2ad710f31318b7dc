-- fixed_window: a counter that starts at the first request and is forgotten a window later. O(1).

function algorithms.fixed_window()
  local fixed_window = {}

  function fixed_window.load()
    local numbers = read_numbers('fixed_window', 'start', 'count')
    if not numbers then
      return nil
    end
    local state = { start = numbers[1], count = numbers[2] }
    if state.start > now then
      -- The clock was set back: the window begins now.
      state.start = now
      state.changed = true
    end
    if state.start + window <= now then
      return fixed_window.empty()
    end
    return state
  end

  function fixed_window.empty()
    return { start = now, count = 0 }
  end

  function fixed_window.used(state)
    return state.count
  end

  function fixed_window.until_room(state, places)
    if capacity - state.count >= places then
      return 0
    end
    return state.start + window - now
  end

  function fixed_window.add(state, requests)
    state.count = state.count + requests
  end

  function fixed_window.save(state)
    write_numbers('fixed_window', 'start', state.start, 'count', state.count)
    expire_after(state.start + window - now)
  end

  function fixed_window.keep(state)
    -- The window may have been lengthened, or the clock set back.
    if state.changed or redis.call('PTTL', key) * 1000 < state.start + window - now then
      fixed_window.save(state)
    end
  end

  return fixed_window
end

