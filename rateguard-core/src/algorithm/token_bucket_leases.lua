-- token_bucket_leases: the same algorithm as token_bucket, for a quota with leases.
--
-- A process takes the tokens of a lease in one step, and uses them until the lease ends. Until then, the bucket holds
-- these tokens: they are part of the debt, and the debt never falls below the held tokens. Otherwise the refill would
-- replace tokens that the process has not used yet, and the process could use them in addition to a full bucket. When
-- the lease ends, the tokens count as taken at this time, which is later than each use.
--
-- The return of a lease before its end removes the hold and the unused tokens. The used tokens count as taken at the
-- time of the return. A return after the end has no effect, because the refill may have replaced the tokens already.
-- The id of the lease identifies the hold, so a return may be repeated.
--
-- The cost is O(n) for n holds, which are at most MAX_HOLDS.

function algorithms.token_bucket_leases()
  -- A record with holds begins with a tag of its own and with the numbers of a record of token_bucket. The holds
  -- follow, in the order in which their leases end, and then END. If there are no holds, the record is one of
  -- token_bucket.
  local TAG, FORMAT, SIZE = 248, '>I1I7I7I7I7I7I7', 43
  -- The algorithm sliding_window reads only the end of its log. These bytes are no entry of a log, because the time of
  -- such an entry would be too late.
  local END = string.rep('\255', 13)
  -- A hold has the length of its id, the id, the tokens, the time at which the lease ends, and the duration of the
  -- lease.
  local HOLD_FORMAT = '>I1c0I4I7I4'
  -- The maximum number of holds, and the last byte that the script reads. A record with the maximum number of holds
  -- ends before this byte, because an id has at most 33 bytes.
  local MAX_HOLDS, MAX_BYTE = 128, '8191'
  -- The maximum debt, as in token_bucket.
  local MAX_DEBT = 4503599627370496
  -- Each local variable of the script that this function uses takes time in each call of the script, even if no bucket
  -- has a lease. So this function uses the libraries of Lua instead.
  local ceil, floor, max, min = math.ceil, math.floor, math.max, math.min
  local encode, decode = struct.pack, struct.unpack

  local leases = algorithms.token_bucket()
  local new_bucket, load_without_holds, add_tokens = leases.new, leases.load, leases.add
  local save_without_holds, refund_without_holds, reset_without_holds = leases.save, leases.refund, leases.reset

  -- Returns the debt of this number of held tokens. The debt of the bucket is never lower.
  local function debt_of(held, units)
    return min(held * units, MAX_DEBT)
  end

  -- Adds the holds to a bucket. `future` is the number of holds of its record in Redis, and `held` the number of tokens
  -- of all holds. `additions` has the id 0 and the tokens that this script call takes without a lease, and `leases` the
  -- id and the tokens of each request that takes them for a lease.
  local function with_holds(bucket, holds, future, held)
    bucket.holds, bucket.future, bucket.held = holds, future, held
    bucket.additions, bucket.leases = { 0, 0 }, {}
    return bucket
  end

  function leases.new(key, quota, used)
    return with_holds(new_bucket(key, quota, used), {}, 0, 0)
  end

  -- Reads the holds of a record from this position. Returns them with the number of their tokens.
  local function read_holds(record, position)
    local holds, held = {}, 0
    while position <= #record - #END do
      local hold = {}
      hold.id, hold.tokens, hold.ends, hold.duration, position = decode(HOLD_FORMAT, record, position)
      holds[#holds + 1], held = hold, held + hold.tokens
    end
    return holds, held
  end

  -- Makes each lease end at most its duration from now. The clock was set back after the grant, so the bucket would
  -- otherwise hold the tokens for longer.
  local function shorten(holds)
    for _, hold in ipairs(holds) do
      hold.ends = min(hold.ends, now + hold.duration)
    end
    table.sort(holds, function(one, other)
      return one.ends < other.ends
    end)
  end

  function leases.load(key, quota)
    -- If the quota has no leases, its own algorithm loads a record without holds, or converts it.
    local bucket = quota.algorithm == leases and load_without_holds(key, quota)
    if bucket then
      return with_holds(bucket, {}, 0, 0)
    end
    local record = typed(redis.pcall('GETRANGE', key, '0', MAX_BYTE))
    if not record or #record <= SIZE + #END or string.byte(record) ~= TAG or string.sub(record, -#END) ~= END then
      return nil
    end
    local _, debt, at, units, refill, reset_at, lives_until, position = decode(FORMAT, record)
    local was_set_back = at > now
    local holds, held = read_holds(record, position)
    if was_set_back then
      at, lives_until = now, 0
      shorten(holds)
    end
    local future, open = #holds, {}
    for _, hold in ipairs(holds) do
      if hold.ends > now then
        open[#open + 1] = hold
      else
        debt = max(debt_of(held, units), debt - (hold.ends - at) * refill)
        at, held = hold.ends, held - hold.tokens
      end
    end
    debt = max(debt_of(held, units), debt - refill * (now - at))
    -- A quota of another algorithm does not change the rate of the bucket.
    local is_token_bucket = quota.algorithm == leases or quota.algorithm == created.token_bucket
    local has_new_rate = is_token_bucket and (units ~= quota.units or refill ~= quota.refill)
    if has_new_rate then
      debt = min(ceil(debt / units * quota.units), MAX_DEBT)
      units, refill = quota.units, quota.refill
    end
    bucket = with_holds(new_bucket(key, quota, 0), open, future, held)
    bucket.debt, bucket.units, bucket.refill, bucket.used = debt, units, refill, ceil(debt / units)
    bucket.reset_at, bucket.lives_until, bucket.has_new_rate = reset_at, lives_until, has_new_rate
    -- If the quota has another algorithm, and no hold is left, the script writes a record without holds, which the
    -- other algorithm can load or convert.
    bucket.is_stale = was_set_back or has_new_rate or quota.algorithm ~= leases and #open == 0
    return bucket
  end

  function leases.is_full(bucket)
    return #bucket.holds >= MAX_HOLDS
  end

  function leases.wait_for(bucket, tokens)
    local units, refill = bucket.units, bucket.refill
    local fitting_debt = max(0, bucket.quota.capacity - tokens) * units
    local debt, held, at = bucket.debt, bucket.held, now
    for _, hold in ipairs(bucket.holds) do
      if debt_of(held, units) <= fitting_debt then
        -- The remaining holds leave room for the cost, so only the refill decides.
        break
      end
      debt = max(debt_of(held, units), debt - refill * (hold.ends - at))
      at, held = hold.ends, held - hold.tokens
    end
    return at + ceil(max(0, debt - fitting_debt) / refill) - now
  end

  function leases.add(bucket, tokens, id, is_lease)
    add_tokens(bucket, tokens)
    if not is_lease then
      bucket.additions[2] = bucket.additions[2] + tokens
      return
    end
    local granted, duration = bucket.leases, bucket.quota.lease
    granted[#granted + 1] = id
    granted[#granted + 1] = tokens
    local hold = { id = ARGV[1] .. '-' .. whole(id), tokens = tokens, ends = now + duration, duration = duration }
    local holds, position = bucket.holds, #bucket.holds + 1
    while position > 1 and holds[position - 1].ends > hold.ends do
      position = position - 1
    end
    table.insert(holds, position, hold)
    bucket.held = bucket.held + tokens
  end

  function leases.save(bucket)
    local holds = bucket.holds
    if #holds == 0 then
      if bucket.future > 0 then
        -- The record in Redis is longer than a record without holds. So make `save` replace the whole record, as it
        -- does if the key would expire too early.
        bucket.lives_until = 0
      end
      return save_without_holds(bucket)
    end
    -- As in token_bucket, the key also lives until no refund can return tokens that were taken before the last reset.
    local refill, capacity = bucket.refill, bucket.quota.capacity
    local reset_needed = bucket.reset_at + capacity * bucket.units / refill - now
    local needed = max(holds[#holds].ends - now + bucket.debt / refill, reset_needed)
    if now + needed > bucket.lives_until then
      bucket.lives_until = floor(now + needed * 1.25)
    end
    local parts = { encode(FORMAT, TAG, bucket.debt, now, bucket.units, refill, bucket.reset_at, bucket.lives_until) }
    for _, hold in ipairs(holds) do
      parts[#parts + 1] = encode(HOLD_FORMAT, #hold.id, hold.id, hold.tokens, hold.ends, hold.duration)
    end
    write(bucket.key, table.concat(parts) .. END, bucket.lives_until - now)
  end

  leases.refresh = leases.save

  -- Changes the debt of the bucket, but not to less than the held tokens, and writes the bucket.
  local function save_debt(bucket, debt)
    bucket.debt = max(debt_of(bucket.held, bucket.units), debt)
    leases.save(bucket)
  end

  function leases.refund(bucket, tokens, by, taken_at)
    if bucket.future == 0 then
      refund_without_holds(bucket, tokens, by, taken_at)
    elseif not (bucket.has_new_rate or bucket.debt == 0) and taken_at > bucket.reset_at then
      local refilled = bucket.refill * max(0, now - taken_at)
      save_debt(bucket, bucket.debt - max(0, bucket.units * tokens - refilled))
    end
  end

  function leases.reset(bucket)
    if bucket.future == 0 then
      reset_without_holds(bucket)
    else
      -- A process may still use the tokens of its lease.
      bucket.reset_at = now
      save_debt(bucket, 0)
    end
  end

  function leases.settle(bucket, _, taken_by, uses)
    local holds = bucket.holds
    for i, hold in ipairs(holds) do
      if hold.id == taken_by then
        local next_number, used = string.gmatch(uses, '%d+'), 0
        -- The first number is the time of the grant, and each further one belongs to a token. The number of an unused
        -- token is 0.
        next_number()
        for after in next_number do
          used = used + (after == '0' and 0 or 1)
        end
        used = min(used, hold.tokens)
        table.remove(holds, i)
        bucket.held = bucket.held - hold.tokens
        -- The used tokens remain in the debt, even if a change of the rate has limited the debt.
        local least = debt_of(bucket.held + used, bucket.units)
        return save_debt(bucket, max(least, bucket.debt - (hold.tokens - used) * bucket.units))
      end
    end
  end

  return leases
end

