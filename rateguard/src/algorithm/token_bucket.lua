-- token_bucket: what is missing until the bucket is full, in units of a token, of which whole numbers come back in a
-- microsecond; so nothing is ever rounded. O(1).

function algorithms.token_bucket()
  local token_bucket = {}

  -- No more than this is ever missing: below 2^53 numbers are exact.
  local MAX_DEBT = 4503599627370496

  function token_bucket.new(key, quota)
    local bucket = { key = key, quota = quota }
    token_bucket.empty(bucket)
    return bucket
  end

  function token_bucket.load(bucket)
    local quota = bucket.quota
    local numbers = read_numbers(bucket.key, 'token_bucket', 'debt', 'at', 'units', 'refill', 'reset_at')
    if not numbers then
      return false
    end
    bucket.debt, bucket.at, bucket.units, bucket.refill, bucket.reset_at = unpack(numbers)
    if bucket.units == 0 or bucket.refill == 0 then
      token_bucket.empty(bucket)
      return true
    end
    if bucket.at > now then
      -- The clock was set back: tokens come back from now on.
      bucket.at = now
      bucket.changed = true
    end
    bucket.debt = math.max(0, bucket.debt - (now - bucket.at) * bucket.refill)
    bucket.at = now
    local is_other = bucket.units ~= quota.units or bucket.refill ~= quota.refill
    if quota.algorithm == 'token_bucket' and is_other then
      -- Another rate from now on. The same tokens are missing.
      bucket.debt = math.min(math.ceil(bucket.debt / bucket.units * quota.units), MAX_DEBT)
      bucket.units, bucket.refill = quota.units, quota.refill
      bucket.changed, bucket.rate_changed = true, true
    end
    return true
  end

  function token_bucket.empty(bucket)
    bucket.debt, bucket.at, bucket.reset_at = 0, now, 0
    bucket.units, bucket.refill = bucket.quota.units, bucket.quota.refill
  end

  function token_bucket.used(bucket)
    return math.ceil(bucket.debt / bucket.units)
  end

  function token_bucket.until_room(bucket, tokens)
    local quota = bucket.quota
    local most = math.max(0, quota.capacity - tokens) * quota.units
    return math.ceil(math.max(0, bucket.debt - most) / quota.refill)
  end

  function token_bucket.add(bucket, tokens)
    bucket.debt = math.min(bucket.debt + tokens * bucket.quota.units, MAX_DEBT)
  end

  function token_bucket.save(bucket)
    local units, refill = bucket.quota.units, bucket.quota.refill
    write_numbers(bucket.key, 'token_bucket', 'debt', bucket.debt, 'at', bucket.at, 'units', units, 'refill', refill)
    -- A reset is remembered for as long as anything of before it might be given back.
    local forgotten = bucket.reset_at + bucket.quota.capacity * units / refill - now
    expire_after(bucket.key, math.max(bucket.debt / refill, forgotten))
  end

  function token_bucket.keep(bucket)
    if bucket.changed then
      token_bucket.save(bucket)
    end
  end

  function token_bucket.give_back(bucket, tokens, _, taken_at)
    if bucket.rate_changed or bucket.debt == 0 or taken_at <= bucket.reset_at then
      -- Nothing is missing, or it is no longer what was taken.
      return
    end
    -- What would have come back by itself since is not given back once more. If others came meanwhile it may not have
    -- come back yet; then this is less than was taken, and never more.
    local come_back = math.max(0, now - taken_at) * bucket.refill
    local back = math.max(0, tokens * bucket.units - come_back)
    write_numbers(bucket.key, 'token_bucket', 'debt', math.max(0, bucket.debt - back), 'at', bucket.at)
  end

  function token_bucket.reset(bucket)
    -- It goes when it would have; until then nothing of before can be given back.
    write_numbers(bucket.key, 'token_bucket', 'debt', 0, 'at', now, 'reset_at', now)
  end

  return token_bucket
end

