-- token_bucket: the debt of the bucket, which is the number of missing tokens until the bucket is full. A token
-- consists of many fractions (`units`), so the refill in fractions per microsecond is an integer and is never rounded.
-- O(1).

function algorithms.token_bucket()
  local token_bucket = {}

  -- The maximum debt, 2^52. Integers below 2^53 are exact in Lua.
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
      -- The clock was set back. The refill continues from now, so the bucket does not wait for the old time.
      bucket.at = now
      bucket.changed = true
    end
    bucket.debt = math.max(0, bucket.debt - (now - bucket.at) * bucket.refill)
    bucket.at = now
    local has_other_rate = bucket.units ~= quota.units or bucket.refill ~= quota.refill
    if quota.algorithm == 'token_bucket' and has_other_rate then
      -- The quota has another rate. Convert the debt to fractions of the new quota, so the same number of tokens is
      -- missing.
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

  function token_bucket.wait_for(bucket, tokens)
    local quota = bucket.quota
    local max_debt = math.max(0, quota.capacity - tokens) * quota.units
    return math.ceil(math.max(0, bucket.debt - max_debt) / quota.refill)
  end

  function token_bucket.add(bucket, tokens)
    bucket.debt = math.min(bucket.debt + tokens * bucket.quota.units, MAX_DEBT)
  end

  function token_bucket.save(bucket)
    local units, refill = bucket.quota.units, bucket.quota.refill
    write_numbers(bucket.key, 'token_bucket', 'debt', bucket.debt, 'at', bucket.at, 'units', units, 'refill', refill)
    -- The key must not expire while an earlier request can refund tokens from before the reset. After a full refill,
    -- such a refund is always 0.
    local reset_needed = bucket.reset_at + bucket.quota.capacity * units / refill - now
    expire_after(bucket.key, math.max(bucket.debt / refill, reset_needed))
  end

  function token_bucket.refresh_expiry(bucket)
    if bucket.changed then
      token_bucket.save(bucket)
    end
  end

  function token_bucket.refund(bucket, tokens, _, taken_at)
    if bucket.rate_changed or bucket.debt == 0 or taken_at <= bucket.reset_at then
      -- The bucket is full already, or after a change of the rate or a reset the debt no longer has these tokens.
      return
    end
    -- The refill may already have returned these tokens, so subtract the refill since `taken_at`. The refund may be too
    -- small if the refill returned tokens of other requests, but it is never too large.
    local refilled = math.max(0, now - taken_at) * bucket.refill
    local refunded = math.max(0, tokens * bucket.units - refilled)
    write_numbers(bucket.key, 'token_bucket', 'debt', math.max(0, bucket.debt - refunded), 'at', bucket.at)
  end

  function token_bucket.reset(bucket)
    -- The key expires at the same time as before. Until the key expires, `reset_at` prevents a refund of tokens that
    -- were taken before the reset.
    write_numbers(bucket.key, 'token_bucket', 'debt', 0, 'at', now, 'reset_at', now)
  end

  return token_bucket
end

