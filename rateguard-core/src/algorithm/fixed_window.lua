-- fixed_window: a counter with a window that starts at the first request. The counter is reset when the window ends.
-- The cost is O(1).

function algorithms.fixed_window()
  -- The record has the tag, the start of the window, the number of units, and the time until which the key lives.
  local TAG, FORMAT, SIZE = 245, '>I1I7I7I7', 22

  local fixed_window = {}

  local function new_bucket(key, quota, start, used, lives_until)
    return {
      key = key,
      quota = quota,
      used = used,
      taken = false,
      is_stale = false,
      start = start,
      lives_until = lives_until,
    }
  end

  function fixed_window.new(key, quota, used)
    return new_bucket(key, quota, now, used, 0)
  end

  function fixed_window.load(key, quota)
    local record = read_record(key, TAG, SIZE)
    if not record then
      return nil
    end
    if record == '' then
      return fixed_window.new(key, quota, 0)
    end
    local _, start, count, lives_until = decode(FORMAT, record)
    if start > now then
      -- The clock was set back, so the start is in the future. Let the window start now, so that it ends at most one
      -- window from now. The expiry is too late, so set it again.
      start, lives_until = now, 0
    end
    if count == 0 or start + quota.window <= now then
      -- The next unit starts a new window.
      start, count = now, 0
    end
    local bucket = new_bucket(key, quota, start, count, lives_until)
    -- The expiry may be too early if the window of the quota has become longer, or if the clock was set back.
    bucket.is_stale = count > 0 and start + quota.window > lives_until
    return bucket
  end

  function fixed_window.wait_for(bucket, units)
    if bucket.quota.capacity - bucket.used >= units then
      return 0
    end
    return bucket.start + bucket.quota.window - now
  end

  function fixed_window.save(bucket)
    local key, ends = bucket.key, bucket.start + bucket.quota.window
    if ends <= bucket.lives_until then
      overwrite(key, encode(FORMAT, TAG, bucket.start, bucket.used, bucket.lives_until))
    else
      write(key, encode(FORMAT, TAG, bucket.start, bucket.used, ends), ends - now)
    end
  end

  fixed_window.refresh = fixed_window.save

  function fixed_window.refund(bucket, units, _, taken_at)
    -- Read the record again, because the window in the record may have ended, or may start in the future.
    local record = read_record(bucket.key, TAG, SIZE)
    if record and record ~= '' then
      local _, start, count, lives_until = decode(FORMAT, record)
      if taken_at >= start then
        overwrite_for_refund(bucket.key, encode(FORMAT, TAG, start, max(0, count - units), lives_until))
      end
    end
  end

  function fixed_window.reset(bucket)
    call('DEL', bucket.key)
  end

  return fixed_window
end

