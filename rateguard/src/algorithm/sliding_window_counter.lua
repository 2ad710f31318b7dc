-- sliding_window_counter: two counters, of the window that begins at `start` and of the one before, weighted by how much
-- of the older one still counts. O(1).

function algorithms.sliding_window_counter()
  local sliding_window_counter = {}

  local function read(bucket, ...)
    return read_numbers(bucket.key, 'sliding_window_counter', 'window', 'start', 'current', 'previous', ...)
  end

  local function weighted(state, elapsed)
    return state.current + math.ceil(state.previous * (state.window - elapsed) / state.window)
  end

  -- Comes to the window of now.
  local function roll(bucket)
    bucket.elapsed = math.fmod(now, bucket.window)
    local start = now - bucket.elapsed
    if bucket.start + bucket.window == start then
      bucket.previous, bucket.current = bucket.current, 0
    elseif bucket.start < start then
      bucket.previous, bucket.current = 0, 0
    elseif bucket.start > start then
      -- The clock was set back: what is counted counts in the window that it is back in.
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
      -- Another window: what counts of the old one counts on, as if it came now.
      local counting = weighted(bucket, bucket.elapsed)
      sliding_window_counter.empty(bucket)
      bucket.current = counting
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

  local function until_room(state, most)
    if weighted(state, state.elapsed) <= most then
      return 0
    end
    if state.current > most then
      -- Not in this window; in the next one these are the previous.
      local next_window = { window = state.window, elapsed = 0, current = 0, previous = state.current }
      return state.window - state.elapsed + until_room(next_window, most)
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

  function sliding_window_counter.until_room(bucket, units)
    return until_room(bucket, math.max(0, bucket.quota.capacity - units))
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

  function sliding_window_counter.keep(bucket)
    if bucket.changed then
      sliding_window_counter.save(bucket)
    end
  end

  function sliding_window_counter.give_back(bucket, units, _, taken_at)
    local numbers, window = read(bucket, 'reset_at'), bucket.quota.window
    if not numbers or numbers[1] ~= window or taken_at <= numbers[5] then
      -- What counts is no longer what was taken.
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
    -- It goes when it would have; until then nothing of before can be given back.
    write_numbers(bucket.key, 'sliding_window_counter', 'current', 0, 'previous', 0, 'reset_at', now)
  end

  return sliding_window_counter
end

