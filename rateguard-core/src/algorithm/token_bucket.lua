-- token_bucket: the script stores the debt of the bucket, which is the number of tokens that are missing until the
-- bucket is full. The debt is stored in fractions of a token. The number of fractions in one token (`units`) is chosen
-- so that the refill in fractions per microsecond is an integer and needs no rounding. The cost is O(1).

function algorithms.token_bucket()
  -- The record has the tag, the debt, the time at which the debt was updated, the fractions in one token, the refill in
  -- fractions per microsecond, the time of the last reset, and the time until which the key lives.
  local TAG, FORMAT, SIZE = 247, '>I1I7I7I7I7I7I7', 43

  local token_bucket = {}

  -- The maximum debt, 2^52. Lua represents integers below 2^53 exactly.
  local MAX_DEBT = 4503599627370496

  local function new_bucket(key, quota, debt, units, refill, reset_at, lives_until)
    return {
      key = key,
      quota = quota,
      used = ceil(debt / units),
      taken = false,
      is_stale = false,
      debt = debt,
      units = units,
      refill = refill,
      reset_at = reset_at,
      lives_until = lives_until,
      has_new_rate = false,
    }
  end

  function token_bucket.new(key, quota, used)
    local units = quota.units
    return new_bucket(key, quota, min(used * units, MAX_DEBT), units, quota.refill, 0, 0)
  end

  function token_bucket.load(key, quota)
    local record = read_record(key, TAG, SIZE)
    if not record then
      return nil
    end
    if record == '' then
      return token_bucket.new(key, quota, 0)
    end
    local _, debt, at, units, refill, reset_at, lives_until = decode(FORMAT, record)
    local was_set_back = at > now
    if was_set_back then
      -- The clock was set back, so `at` is in the future. Let the refill continue from now. Otherwise there would be no
      -- refill until `at`. The expiry is too late, so set it again.
      at, lives_until = now, 0
    end
    debt = max(0, debt - (now - at) * refill)
    local has_new_rate = quota.algorithm == token_bucket and (units ~= quota.units or refill ~= quota.refill)
    if has_new_rate then
      -- The rate of the quota has changed. Convert the debt to fractions for the new rate, so that the number of
      -- missing tokens stays the same.
      debt = min(ceil(debt / units * quota.units), MAX_DEBT)
      units, refill = quota.units, quota.refill
    end
    local bucket = new_bucket(key, quota, debt, units, refill, reset_at, lives_until)
    bucket.is_stale, bucket.has_new_rate = was_set_back or has_new_rate, has_new_rate
    return bucket
  end

  function token_bucket.wait_for(bucket, tokens)
    local quota = bucket.quota
    local max_debt = max(0, quota.capacity - tokens) * quota.units
    return ceil(max(0, bucket.debt - max_debt) / quota.refill)
  end

  function token_bucket.add(bucket, tokens)
    local units = bucket.units
    bucket.debt = min(bucket.debt + tokens * units, MAX_DEBT)
    bucket.used = ceil(bucket.debt / units)
  end

  local function encode_bucket(bucket, debt, reset_at)
    return encode(FORMAT, TAG, debt, now, bucket.units, bucket.refill, reset_at, bucket.lives_until)
  end

  function token_bucket.save(bucket)
    local quota, refill = bucket.quota, bucket.refill
    -- The key has the time of the last reset, which prevents refunds of tokens that were taken before the reset. The
    -- key must therefore not expire while such a refund could still return tokens. The refill fills an empty bucket in
    -- a certain time. When this time has passed since the reset, such a refund returns 0 tokens.
    local reset_needed = bucket.reset_at + quota.capacity * bucket.units / refill - now
    local needed = max(bucket.debt / refill, reset_needed)
    if now + needed <= bucket.lives_until then
      overwrite(bucket.key, encode_bucket(bucket, bucket.debt, bucket.reset_at))
    else
      -- Let the key live for a quarter longer, so that the script does not have to set the expiry for each request.
      local extended = needed * 1.25
      bucket.lives_until = floor(now + extended)
      write(bucket.key, encode_bucket(bucket, bucket.debt, bucket.reset_at), extended)
    end
  end

  token_bucket.refresh = token_bucket.save

  function token_bucket.refund(bucket, tokens, _, taken_at)
    if bucket.has_new_rate or bucket.debt == 0 or taken_at <= bucket.reset_at then
      -- There is nothing to refund: the bucket is full, or the debt no longer contains these tokens because of a
      -- reset or a change of the rate.
      return
    end
    -- The refill since `taken_at` may already have returned these tokens, so subtract this refill from the refund. If
    -- the refill has returned tokens of other requests instead, the refund is too small. The refund is never too
    -- large.
    local refilled = max(0, now - taken_at) * bucket.refill
    local refunded = max(0, tokens * bucket.units - refilled)
    overwrite_for_refund(bucket.key, encode_bucket(bucket, max(0, bucket.debt - refunded), bucket.reset_at))
  end

  function token_bucket.reset(bucket)
    -- A reset does not change the expiry of the key. Until the key expires, the time of the reset prevents refunds of
    -- tokens that were taken before the reset.
    overwrite(bucket.key, encode_bucket(bucket, 0, now))
  end

  return token_bucket
end

