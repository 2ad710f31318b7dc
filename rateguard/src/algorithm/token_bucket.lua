-- token_bucket: what is missing until the bucket is full, in units of a token, of which whole numbers come back in a
-- microsecond; so nothing is ever rounded. O(1).

function algorithms.token_bucket(charge)
  local key, capacity, units, refill = charge.key, charge.capacity, charge.units, charge.refill
  local token_bucket = {}

  -- No more than this is ever missing: below 2^53 numbers are exact.
  local MAX_DEBT = 4503599627370496

  function token_bucket.load()
    local numbers = read_numbers(key, 'token_bucket', 'debt', 'at', 'units', 'refill', 'reset_at')
    if not numbers then
      return nil
    end
    local state = {
      debt = numbers[1],
      at = numbers[2],
      units = numbers[3],
      refill = numbers[4],
      reset_at = numbers[5],
    }
    if state.units == 0 or state.refill == 0 then
      return token_bucket.empty()
    end
    if state.at > now then
      -- The clock was set back: tokens come back from now on.
      state.at = now
      state.changed = true
    end
    state.debt = math.max(0, state.debt - (now - state.at) * state.refill)
    state.at = now
    if charge.algorithm == 'token_bucket' and (state.units ~= units or state.refill ~= refill) then
      -- Another rate from now on. The same tokens are missing.
      state.debt = math.min(math.ceil(state.debt / state.units * units), MAX_DEBT)
      state.units, state.refill = units, refill
      state.changed, state.rate_changed = true, true
    end
    return state
  end

  function token_bucket.empty()
    return { debt = 0, at = now, units = units, refill = refill, reset_at = 0 }
  end

  function token_bucket.used(state)
    return math.ceil(state.debt / state.units)
  end

  function token_bucket.until_room(state, tokens)
    local most = math.max(0, capacity - tokens) * units
    return math.ceil(math.max(0, state.debt - most) / refill)
  end

  function token_bucket.add(state, tokens)
    state.debt = math.min(state.debt + tokens * units, MAX_DEBT)
  end

  function token_bucket.save(state)
    write_numbers(key, 'token_bucket', 'debt', state.debt, 'at', state.at, 'units', units, 'refill', refill)
    -- A reset is remembered for as long as anything of before it might be given back.
    local forgotten = state.reset_at + capacity * units / refill - now
    expire_after(key, math.max(state.debt / refill, forgotten))
  end

  function token_bucket.keep(state)
    if state.changed then
      token_bucket.save(state)
    end
  end

  function token_bucket.give_back(tokens, _, taken_at)
    local state = token_bucket.load()
    if not state or state.rate_changed or state.debt == 0 or taken_at <= state.reset_at then
      -- Nothing is missing, or it is no longer what was taken.
      return
    end
    -- What would have come back by itself since is not given back once more. If others came meanwhile it may not have
    -- come back yet; then this is less than was taken, and never more.
    local come_back = math.max(0, now - taken_at) * refill
    local back = math.max(0, tokens * units - come_back)
    write_numbers(key, 'token_bucket', 'debt', math.max(0, state.debt - back), 'at', state.at)
  end

  function token_bucket.reset()
    -- It goes when it would have; until then nothing of before can be given back.
    write_numbers(key, 'token_bucket', 'debt', 0, 'at', now, 'reset_at', now)
  end

  return token_bucket
end

