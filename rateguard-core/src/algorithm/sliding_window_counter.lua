-- sliding_window_counter: this algorithm has one counter for the window that begins at `start`, and one counter for the
-- previous window. The script multiplies the previous counter by the fraction of the previous window that the sliding
-- window still covers. The cost is O(1).

function algorithms.sliding_window_counter()
  local sliding_window_counter = {}

  local function read(bucket, ...)
    return read_numbers(bucket.key, 'sliding_window_counter', 'window', 'start', 'current', 'previous', ...)
  end

  local function weighted(state, elapsed)
    return state.current + math.ceil(state.previous * (state.window - elapsed) / state.window)
  end

  -- Moves the counters to the window that contains `now`.
  local function roll(bucket)
    bucket.elapsed = math.fmod(now, bucket.window)
    local start = now - bucket.elapsed
    if bucket.start + bucket.window == start then
      bucket.previous, bucket.current = bucket.current, 0
    elseif bucket.start < start then
      bucket.previous, bucket.current = 0, 0
    elseif bucket.start > start then
      -- The clock was set back to an earlier window. Do not change the counters, so that no unit is lost.
      bucket.changed = true
    end
    bucket.start = start
  end

  function sliding_window_counter.new(key, quota)
    local bucket = { key = key, quota = quota }
    sliding_window_counter.empty(bucket)
    return bucket
  end

  function sliding_window_counter.load(bucket)
    local numbers = read(bucket)
    if not numbers then
      return false
    end
    if numbers[1] == 0 then
      sliding_window_counter.empty(bucket)
      return true
    end
    bucket.window, bucket.start, bucket.current, bucket.previous = unpack(numbers)
    roll(bucket)
    if bucket.window ~= bucket.quota.window then
      -- The window of the quota has changed, so the counters are for windows of the old duration. Count their units
      -- as if they were all taken now.
      local converted = weighted(bucket, bucket.elapsed)
      sliding_window_counter.empty(bucket)
      bucket.current = converted
      bucket.changed = true
    end
    return true
  end

  function sliding_window_counter.empty(bucket)
    local window = bucket.quota.window
    bucket.window, bucket.current, bucket.previous = window, 0, 0
    bucket.elapsed = math.fmod(now, window)
    bucket.start = now - bucket.elapsed
  end

  function sliding_window_counter.used(bucket)
    return weighted(bucket, bucket.elapsed)
  end

  local function wait_for(state, max_units)
    if weighted(state, state.elapsed) <= max_units then
      return 0
    end
    if state.current > max_units then
      -- All units of the current window count until this window ends, so the request cannot fit earlier. In the next
      -- window, their number is multiplied by a decreasing fraction until the request fits.
      local next_window = { window = state.window, elapsed = 0, current = 0, previous = state.current }
      return state.window - state.elapsed + wait_for(next_window, max_units)
    end
    -- The request fits when the previous counter is multiplied by this fraction or by a smaller fraction.
    local fitting = (max_units - state.current) / state.previous
    local elapsed = math.ceil(state.window * (1 - fitting))
    elapsed = math.min(math.max(elapsed, state.elapsed + 1), state.window)
    -- Because of rounding, the estimate may differ from the exact time by some microseconds. Search for the exact
    -- time.
    while weighted(state, elapsed) > max_units do
      elapsed = elapsed + 1
    end
    while elapsed > state.elapsed + 1 and weighted(state, elapsed - 1) <= max_units do
      elapsed = elapsed - 1
    end
    return elapsed - state.elapsed
  end

  function sliding_window_counter.wait_for(bucket, units)
    return wait_for(bucket, math.max(0, bucket.quota.capacity - units))
  end

  function sliding_window_counter.add(bucket, units)
    bucket.current = bucket.current + units
  end

  function sliding_window_counter.save(bucket)
    write_numbers(
      bucket.key,
      'sliding_window_counter',
      'window', bucket.window,
      'start', bucket.start,
      'current', bucket.current,
      'previous', bucket.previous
    )
    expire_after(bucket.key, 2 * bucket.window - bucket.elapsed)
  end

  function sliding_window_counter.refresh_expiry(bucket)
    if bucket.changed then
      sliding_window_counter.save(bucket)
    end
  end

  function sliding_window_counter.refund(bucket, units, _, taken_at)
    local numbers, window = read(bucket, 'reset_at'), bucket.quota.window
    if not numbers or numbers[1] ~= window or taken_at <= numbers[5] then
      -- The counters no longer contain these units, because the window has changed or because a reset has removed
      -- them.
      return
    end
    local _, start, current, previous = unpack(numbers)
    if taken_at >= start and taken_at < start + window and current > 0 then
      write_numbers(bucket.key, 'sliding_window_counter', 'current', math.max(0, current - units))
    elseif taken_at < start and taken_at + window >= start and previous > 0 then
      write_numbers(bucket.key, 'sliding_window_counter', 'previous', math.max(0, previous - units))
    end
  end

  function sliding_window_counter.reset(bucket)
    -- A reset does not change the expiry of the key. Until the key expires, `reset_at` prevents refunds of units that
    -- were taken before the reset.
    write_numbers(bucket.key, 'sliding_window_counter', 'current', 0, 'previous', 0, 'reset_at', now)
  end

  return sliding_window_counter
end

