-- token_bucket: what is missing until the bucket is full, in units of a token, of which whole numbers come back in a
-- microsecond; so nothing is ever rounded. O(1).

function algorithms.token_bucket()
  local token_bucket = {}

  function token_bucket.load()
    local numbers = read_numbers('token_bucket', 'debt', 'at', 'units')
    if not numbers then
      return nil
    end
    local state = { debt = numbers[1], at = numbers[2] }
    if numbers[3] ~= units and state.debt > 0 then
      -- The quota was another: the same tokens are missing.
      state.debt = math.ceil(state.debt / numbers[3] * units)
    end
    if state.at > now then
      -- The clock was set back: tokens come back from now on.
      state.at = now
      state.changed = true
    end
    state.debt = math.max(0, state.debt - (now - state.at) * refill)
    state.at = now
    return state
  end

  function token_bucket.empty()
    return { debt = 0, at = now }
  end

  function token_bucket.used(state)
    return math.ceil(state.debt / units)
  end

  function token_bucket.until_room(state, places)
    local most = math.max(0, capacity - places) * units
    return math.ceil(math.max(0, state.debt - most) / refill)
  end

  function token_bucket.add(state, requests)
    state.debt = state.debt + requests * units
  end

  function token_bucket.save(state)
    write_numbers('token_bucket', 'debt', state.debt, 'at', state.at, 'units', units)
    expire_after(state.debt / refill)
  end

  function token_bucket.keep(state)
    -- The rate may have been lowered, or the clock set back.
    if state.changed or redis.call('PTTL', key) * 1000 < state.debt / refill then
      token_bucket.save(state)
    end
  end

  return token_bucket
end

