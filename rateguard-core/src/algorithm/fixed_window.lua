-- fixed_window: a counter with a window that starts at the first request. The counter is reset when the window ends.
-- The cost is O(1).

function algorithms.fixed_window()
  local fixed_window = {}

  function fixed_window.new(key, quota)
    return { key = key, quota = quota, start = now, count = 0 }
  end

  function fixed_window.load(bucket)
    local numbers = read_numbers(bucket.key, 'fixed_window', 'start', 'count')
    if not numbers then
      return false
    end
    bucket.start, bucket.count = numbers[1], numbers[2]
    if bucket.start > now then
      -- The clock was set back, so the start is in the future. Let the window start now, so that it ends at most one
      -- window from now.
      bucket.start = now
      bucket.changed = true
    end
    if bucket.start + bucket.quota.window <= now then
      fixed_window.empty(bucket)
    end
    return true
  end

  function fixed_window.empty(bucket)
    bucket.start, bucket.count = now, 0
  end

  function fixed_window.used(bucket)
    return bucket.count
  end

  function fixed_window.wait_for(bucket, units)
    if bucket.quota.capacity - bucket.count >= units then
      return 0
    end
    return bucket.start + bucket.quota.window - now
  end

  function fixed_window.add(bucket, units)
    if bucket.count == 0 then
      bucket.start = now
    end
    bucket.count = bucket.count + units
  end

  function fixed_window.save(bucket)
    write_numbers(bucket.key, 'fixed_window', 'start', bucket.start, 'count', bucket.count)
    expire_after(bucket.key, bucket.start + bucket.quota.window - now)
  end

  function fixed_window.refresh_expiry(bucket)
    -- The expiry may be too early if the window of the quota has become longer, or if the clock was set back.
    local needed = bucket.start + bucket.quota.window - now
    if bucket.count > 0 and (bucket.changed or call('PTTL', bucket.key) * 1000 < needed) then
      fixed_window.save(bucket)
    end
  end

  function fixed_window.refund(bucket, units, _, taken_at)
    local numbers = read_numbers(bucket.key, 'fixed_window', 'start', 'count')
    if numbers and numbers[2] > 0 and taken_at >= numbers[1] then
      write_numbers(bucket.key, 'fixed_window', 'count', math.max(0, numbers[2] - units))
    end
  end

  function fixed_window.reset(bucket)
    call('DEL', bucket.key)
  end

  return fixed_window
end

