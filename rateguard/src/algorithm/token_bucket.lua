-- token_bucket: what is missing until the bucket is full, in units of a token, of which whole numbers come back in a
-- microsecond; so nothing is ever rounded. O(1).

function algorithms.token_bucket()
  local token_bucket = {}

  function token_bucket.load()
    local numbers = read_numbers('token_bucket', 'debt', 'at', 'units', 'refill')
    if not numbers then
      return nil
    end
    local state = { debt = numbers[1], at = numbers[2], units = numbers[3], refill = numbers[4] }
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
    if ARGV[1] == 'token_bucket' and (state.units ~= units or state.refill ~= refill) then
      -- Another rate from now on. The same tokens are missing, but never so many that they could not be counted: no more
      -- than 2^52 units.
      state.debt = math.min(math.ceil(state.debt / state.units * units), 4503599627370496)
      state.units, state.refill = units, refill
      state.changed = true
    end
    return state
  end

  function token_bucket.empty()
    return { debt = 0, at = now, units = units, refill = refill }
  end

  function token_bucket.used(state)
    return math.ceil(state.debt / state.units)
  end

  function token_bucket.until_room(state, places)
    local most = math.max(0, capacity - places) * units
    return math.ceil(math.max(0, state.debt - most) / refill)
  end

  function token_bucket.add(state, requests)
    state.debt = state.debt + requests * units
  end

  function token_bucket.save(state)
    write_numbers('token_bucket', 'debt', state.debt, 'at', state.at, 'units', units, 'refill', refill)
    expire_after(state.debt / refill)
  end

  function token_bucket.keep(state)
    if state.changed then
      token_bucket.save(state)
    end
  end

  return token_bucket
end

