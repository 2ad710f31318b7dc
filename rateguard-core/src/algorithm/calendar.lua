-- calendar: a counter that is reset at the end of a period of the calendar. Redis does not know the calendar, so the
-- client sends the starts of some periods, and `arguments.lua` selects the period that contains `now`. The cost is
-- O(1).

function algorithms.calendar()
  -- The record has the tag, the time of the first unit, the number of units, and the time until which the key lives.
  local TAG, FORMAT, SIZE = 249, '>I1I7I7I7', 22

  local calendar = {}

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

  function calendar.new(key, quota, used)
    return new_bucket(key, quota, now, used, 0)
  end

  function calendar.load(key, quota)
    local record = read_record(key, TAG, SIZE)
    if not record then
      return nil
    end
    if record == '' then
      return calendar.new(key, quota, 0)
    end
    local _, start, count, lives_until = decode(FORMAT, record)
    -- If the bucket is converted, the quota has no period. The units then count until the end of their own period.
    local period_end = quota.period_end or lives_until
    if start > now then
      -- The clock was set back, so the units are from the future. Count them in the current period. The expiry is that
      -- of a later period, so set it again.
      start, lives_until = now, 0
    end
    if count == 0 or period_end <= now or start < (quota.period_start or 0) then
      start, count = now, 0
    end
    local bucket = new_bucket(key, quota, start, count, lives_until)
    -- The expiry may be too early if the period of the quota was changed, or if the clock was set back.
    bucket.is_stale = count > 0 and period_end > lives_until
    return bucket
  end

  function calendar.wait_for(bucket, units)
    local room = bucket.quota.capacity - bucket.used
    return room >= units and 0 or bucket.quota.period_end - now
  end

  function calendar.save(bucket)
    local period_end = bucket.quota.period_end
    local lives_until = max(bucket.lives_until, period_end)
    local record = encode(FORMAT, TAG, bucket.start, bucket.used, lives_until)
    if lives_until > bucket.lives_until then
      write(bucket.key, record, lives_until - now)
    else
      overwrite(bucket.key, record)
    end
  end

  calendar.refresh = calendar.save

  function calendar.refund(bucket, units, _, taken_at)
    -- Read the record again, because its period may have ended, or it may be from the future.
    local record = read_record(bucket.key, TAG, SIZE)
    if record and record ~= '' then
      local _, start, count, lives_until = decode(FORMAT, record)
      if start <= taken_at then
        overwrite_for_refund(bucket.key, encode(FORMAT, TAG, start, max(0, count - units), lives_until))
      end
    end
  end

  function calendar.reset(bucket)
    call('DEL', bucket.key)
  end

  return calendar
end

