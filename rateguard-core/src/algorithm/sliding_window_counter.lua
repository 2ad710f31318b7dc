-- sliding_window_counter: this algorithm has one counter for the window that begins at `start`, and one counter for the
-- previous window. The script multiplies the previous counter by the fraction of the previous window that the sliding
-- window still covers. The cost is O(1).

function algorithms.sliding_window_counter()
  -- The record has the tag, the duration of a window, the start of the current window, the counter of this window, the
  -- counter of the previous window, and the time of the last reset.
  local TAG, FORMAT, SIZE = 246, '>I1I7I7I7I7I7', 36

  local sliding_window_counter = {}

  local function weighted(current, previous, elapsed, window)
    return current + ceil(previous * (window - elapsed) / window)
  end

  local function new_bucket(key, quota, current, previous, reset_at)
    local window = quota.window
    local elapsed = math.fmod(now, window)
    return {
      key = key,
      quota = quota,
      used = weighted(current, previous, elapsed, window),
      taken = false,
      is_stale = false,
      current = current,
      previous = previous,
      elapsed = elapsed,
      reset_at = reset_at,
      -- Whether the record in Redis has the same window. The expiry of the key then remains.
      has_expiry = false,
    }
  end

  function sliding_window_counter.new(key, quota, used)
    return new_bucket(key, quota, used, 0, 0)
  end

  -- Moves the counters to the window that contains `now`. Returns the start of this window and the two counters.
  local function roll(window, start, current, previous)
    local new_start = now - math.fmod(now, window)
    if start + window == new_start then
      return new_start, 0, current
    elseif start < new_start then
      return new_start, 0, 0
    end
    -- If the clock was set back to an earlier window, the counters do not change, so that no unit is lost.
    return new_start, current, previous
  end

  function sliding_window_counter.load(key, quota)
    local record = read_record(key, TAG, SIZE)
    if not record then
      return nil
    end
    if record == '' then
      return sliding_window_counter.new(key, quota, 0)
    end
    local _, window, stored_start, current, previous, reset_at = decode(FORMAT, record)
    local start
    start, current, previous = roll(window, stored_start, current, previous)
    if window ~= quota.window then
      -- The window of the quota has changed, so the counters are for windows of the old duration. Count their units
      -- as if they were all taken now.
      current, previous = weighted(current, previous, now - start, window), 0
    end
    local bucket = new_bucket(key, quota, current, previous, reset_at)
    bucket.has_expiry = window == quota.window and start == stored_start
    bucket.is_stale = window ~= quota.window or start < stored_start
    return bucket
  end

  local function wait(current, previous, elapsed, window, max_units)
    if weighted(current, previous, elapsed, window) <= max_units then
      return 0
    end
    if current > max_units then
      -- All units of the current window count until this window ends, so the request cannot fit earlier. In the next
      -- window, their number is multiplied by a decreasing fraction until the request fits.
      return window - elapsed + wait(0, current, 0, window, max_units)
    end
    -- The request fits when the previous counter is multiplied by this fraction or by a smaller fraction.
    local fitting = (max_units - current) / previous
    local fits_at = ceil(window * (1 - fitting))
    fits_at = min(max(fits_at, elapsed + 1), window)
    -- Because of rounding, the estimate may differ from the exact time by some microseconds. Search for the exact
    -- time.
    while weighted(current, previous, fits_at, window) > max_units do
      fits_at = fits_at + 1
    end
    while fits_at > elapsed + 1 and weighted(current, previous, fits_at - 1, window) <= max_units do
      fits_at = fits_at - 1
    end
    return fits_at - elapsed
  end

  function sliding_window_counter.wait_for(bucket, units)
    local quota = bucket.quota
    return wait(bucket.current, bucket.previous, bucket.elapsed, quota.window, max(0, quota.capacity - units))
  end

  function sliding_window_counter.add(bucket, units)
    bucket.current = bucket.current + units
  end

  function sliding_window_counter.save(bucket)
    local window, elapsed = bucket.quota.window, bucket.elapsed
    local record = encode(FORMAT, TAG, window, now - elapsed, bucket.current, bucket.previous, bucket.reset_at)
    if bucket.has_expiry then
      overwrite(bucket.key, record)
    else
      write(bucket.key, record, 2 * window - elapsed)
    end
  end

  sliding_window_counter.refresh = sliding_window_counter.save

  function sliding_window_counter.refund(bucket, units, _, taken_at)
    -- Read the record again, because its windows may be earlier or later than those of the bucket.
    local record = read_record(bucket.key, TAG, SIZE)
    if not record or record == '' then
      return
    end
    local _, window, start, current, previous, reset_at = decode(FORMAT, record)
    if window ~= bucket.quota.window or taken_at <= reset_at then
      -- The counters no longer contain these units, because the window has changed or because a reset has removed
      -- them.
      return
    end
    if taken_at >= start and taken_at < start + window then
      current = max(0, current - units)
    elseif taken_at < start and taken_at + window >= start then
      previous = max(0, previous - units)
    end
    overwrite_for_refund(bucket.key, encode(FORMAT, TAG, window, start, current, previous, reset_at))
  end

  function sliding_window_counter.reset(bucket)
    -- A reset does not change the window of the record, because it does not change the expiry of the key. Until the
    -- key expires, the time of the reset prevents refunds of units that were taken before the reset.
    local _, window, start = decode(FORMAT, read_record(bucket.key, TAG, SIZE))
    overwrite(bucket.key, encode(FORMAT, TAG, window, start, 0, 0, now))
  end

  return sliding_window_counter
end

