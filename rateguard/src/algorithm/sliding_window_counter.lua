-- sliding_window_counter: two counters, of the window that begins at `start` and of the one before, weighted by how much
-- of the older one still counts. O(1).

function algorithms.sliding_window_counter(charge)
  local key, window, capacity = charge.key, charge.window, charge.capacity
  local sliding_window_counter = {}

  local function weighted(state, elapsed)
    return state.current + math.ceil(state.previous * (state.window - elapsed) / state.window)
  end

  -- Comes to the window of now.
  local function roll(state)
    state.elapsed = math.fmod(now, state.window)
    local start = now - state.elapsed
    if state.start + state.window == start then
      state.previous, state.current = state.current, 0
    elseif state.start < start then
      state.previous, state.current = 0, 0
    elseif state.start > start then
      -- The clock was set back: what is counted counts in the window that it is back in.
      state.changed = true
    end
    state.start = start
  end

  function sliding_window_counter.load()
    local numbers = read_numbers(key, 'sliding_window_counter', 'window', 'start', 'current', 'previous')
    if not numbers then
      return nil
    end
    local state = { window = numbers[1], start = numbers[2], current = numbers[3], previous = numbers[4] }
    if state.window == 0 then
      return sliding_window_counter.empty()
    end
    roll(state)
    if state.window ~= window then
      -- Another window: what counts of the old one counts on, as if it came now.
      local counting = weighted(state, state.elapsed)
      state = sliding_window_counter.empty()
      state.current = counting
      state.changed = true
    end
    return state
  end

  function sliding_window_counter.empty()
    local elapsed = math.fmod(now, window)
    return { window = window, start = now - elapsed, elapsed = elapsed, current = 0, previous = 0 }
  end

  function sliding_window_counter.used(state)
    return weighted(state, state.elapsed)
  end

  function sliding_window_counter.until_room(state, units)
    local most = math.max(0, capacity - units)
    if weighted(state, state.elapsed) <= most then
      return 0
    end
    if state.current > most then
      -- Not in this window; in the next one these are the previous.
      local next_window = { window = state.window, elapsed = 0, current = 0, previous = state.current }
      return state.window - state.elapsed + sliding_window_counter.until_room(next_window, units)
    end
    -- So few of the previous count that they fit beside the current ones.
    local fitting = (most - state.current) / state.previous
    local elapsed = math.ceil(state.window * (1 - fitting))
    elapsed = math.min(math.max(elapsed, state.elapsed + 1), state.window)
    while weighted(state, elapsed) > most do
      elapsed = elapsed + 1
    end
    while elapsed > state.elapsed + 1 and weighted(state, elapsed - 1) <= most do
      elapsed = elapsed - 1
    end
    return elapsed - state.elapsed
  end

  function sliding_window_counter.add(state, units)
    state.current = state.current + units
  end

  function sliding_window_counter.save(state)
    write_numbers(
      key,
      'sliding_window_counter',
      'window', state.window,
      'start', state.start,
      'current', state.current,
      'previous', state.previous
    )
    expire_after(key, 2 * state.window - state.elapsed)
  end

  function sliding_window_counter.keep(state)
    if state.changed then
      sliding_window_counter.save(state)
    end
  end

  function sliding_window_counter.give_back(units, _, taken_at)
    local numbers = read_numbers(key, 'sliding_window_counter', 'window', 'start', 'current', 'previous', 'reset_at')
    if not numbers or numbers[1] ~= window or taken_at <= numbers[5] then
      -- What counts is no longer what was taken.
      return
    end
    local start, current, previous = numbers[2], numbers[3], numbers[4]
    if taken_at >= start and taken_at < start + window and current > 0 then
      write_numbers(key, 'sliding_window_counter', 'current', math.max(0, current - units))
    elseif taken_at < start and taken_at + window >= start and previous > 0 then
      write_numbers(key, 'sliding_window_counter', 'previous', math.max(0, previous - units))
    end
  end

  function sliding_window_counter.reset()
    -- It goes when it would have; until then nothing of before can be given back.
    write_numbers(key, 'sliding_window_counter', 'current', 0, 'previous', 0, 'reset_at', now)
  end

  return sliding_window_counter
end

