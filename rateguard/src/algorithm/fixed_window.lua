-- fixed_window: a counter that starts at the first request and is forgotten a window later. O(1).

function algorithms.fixed_window(charge)
  local key, window, capacity = charge.key, charge.window, charge.capacity
  local fixed_window = {}

  function fixed_window.load()
    local numbers = read_numbers(key, 'fixed_window', 'start', 'count')
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

  function fixed_window.until_room(state, units)
    if capacity - state.count >= units then
      return 0
    end
    return state.start + window - now
  end

  function fixed_window.add(state, units)
    if state.count == 0 then
      state.start = now
    end
    state.count = state.count + units
  end

  function fixed_window.save(state)
    write_numbers(key, 'fixed_window', 'start', state.start, 'count', state.count)
    expire_after(key, state.start + window - now)
  end

  function fixed_window.keep(state)
    -- The window may have been lengthened, or the clock set back.
    if state.count > 0 and (state.changed or redis.call('PTTL', key) * 1000 < state.start + window - now) then
      fixed_window.save(state)
    end
  end

  function fixed_window.give_back(units, _, taken_at)
    local numbers = read_numbers(key, 'fixed_window', 'start', 'count')
    if numbers and numbers[2] > 0 and taken_at >= numbers[1] then
      write_numbers(key, 'fixed_window', 'count', math.max(0, numbers[2] - units))
    end
  end

  function fixed_window.reset()
    redis.call('DEL', key)
  end

  return fixed_window
end

