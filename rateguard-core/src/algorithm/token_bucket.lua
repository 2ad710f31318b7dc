-- token_bucket: the script stores the debt of the bucket, which is the number of tokens that are missing until the
-- bucket is full. The debt is stored in fractions of a token. The number of fractions in one token (`units`) is chosen
-- so that the refill in fractions per microsecond is an integer and needs no rounding. The cost is O(1).

function algorithms.token_bucket()
  local token_bucket = {}

  -- The maximum debt, 2^52. Lua represents integers below 2^53 exactly.
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
      -- The clock was set back, so `at` is in the future. Let the refill continue from now. Otherwise there would be no
      -- refill until `at`.
      bucket.at = now
      bucket.changed = true
    end
    bucket.debt = math.max(0, bucket.debt - (now - bucket.at) * bucket.refill)
    bucket.at = now
    local has_other_rate = bucket.units ~= quota.units or bucket.refill ~= quota.refill
    if quota.algorithm == 'token_bucket' and has_other_rate then
      -- The rate of the quota has changed. Convert the debt to fractions for the new rate, so that the number of
      -- missing tokens stays the same.
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
    -- The key has the time of the last reset, which prevents refunds of tokens that were taken before the reset. The
    -- key must therefore not expire while such a refund could still return tokens. The refill fills an empty bucket in
    -- a certain time. When this time has passed since the reset, such a refund returns 0 tokens.
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
      -- There is nothing to refund: the bucket is full, or the debt no longer contains these tokens because of a
      -- reset or a change of the rate.
      return
    end
    -- The refill since `taken_at` may already have returned these tokens, so subtract this refill from the refund. If
    -- the refill has returned tokens of other requests instead, the refund is too small. The refund is never too
    -- large.
    local refilled = math.max(0, now - taken_at) * bucket.refill
    local refunded = math.max(0, tokens * bucket.units - refilled)
    write_numbers(bucket.key, 'token_bucket', 'debt', math.max(0, bucket.debt - refunded), 'at', bucket.at)
  end

  function token_bucket.reset(bucket)
    -- A reset does not change the expiry of the key. Until the key expires, `reset_at` prevents refunds of tokens
    -- that were taken before the reset.
    write_numbers(bucket.key, 'token_bucket', 'debt', 0, 'at', now, 'reset_at', now)
  end

  return token_bucket
end

