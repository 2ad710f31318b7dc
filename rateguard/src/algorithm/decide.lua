local charges = {}
for place, key in ipairs(KEYS) do
  local first = HEAD + (place - 1) * PER_KEY
  local charge = {
    key = key,
    algorithm = ARGV[first + 1],
    window = tonumber(ARGV[first + 2]),
    capacity = tonumber(ARGV[first + 3]),
    units = tonumber(ARGV[first + 4]),
    refill = tonumber(ARGV[first + 5]),
    cost = math.abs(tonumber(ARGV[first + 6])),
    is_gate = tonumber(ARGV[first + 6]) < 0,
    taken_by = ARGV[first + 7],
    taken_at = tonumber(ARGV[first + 8]),
  }
  charge.steps = algorithms[charge.algorithm](charge)
  charges[place] = charge
end

-- The state as it is now, or nil if the key is no count of ours.
local function load(charge)
  local steps = charge.steps
  charge.state = steps.load()
  if charge.state then
    return charge.state
  end
  -- It was counted with another algorithm: what counts of it counts on, as if it came now.
  local kind = redis.call('TYPE', charge.key).ok
  local make_other = kind == 'zset' and algorithms.sliding_window
    or kind == 'hash' and algorithms[redis.call('HGET', charge.key, 'algorithm') or '']
  if not make_other then
    return nil
  end
  local other = make_other(charge)
  charge.of_another_kind = true
  charge.state = steps.empty()
  steps.add(charge.state, math.min(other.used(other.load()), charge.capacity))
  return charge.state
end

-- Microseconds until there is room for the cost, or -1.
local function until_room(charge)
  if charge.cost == 0 then
    return 0
  end
  if charge.cost > charge.capacity then
    return -1
  end
  if charge.algorithm == 'sliding_window' and charge.cost > MAX_LOG_COST then
    return -1
  end
  return charge.steps.until_room(charge.state, charge.cost)
end

-- Every charge before any is written, so that all are or none.
local admitted = true
for _, charge in ipairs(charges) do
  if not load(charge) then
    return redis.error_reply('WRONGTYPE this key is no count of ours')
  end
  if operation == 'check' or operation == 'peek' then
    charge.wait = until_room(charge)
    admitted = charge.wait == 0 and admitted
  end
end

local reply = { admitted and 1 or 0, now }
for _, charge in ipairs(charges) do
  if operation == 'refund' then
    charge.steps.give_back(charge.cost, charge.taken_by, charge.taken_at)
    load(charge)
  elseif operation == 'reset' then
    if charge.of_another_kind then
      redis.call('DEL', charge.key)
    elseif redis.call('TYPE', charge.key).ok ~= 'none' then
      charge.steps.reset()
    end
    charge.state = charge.steps.empty()
  end

  local steps, state = charge.steps, charge.state
  if operation == 'check' or operation == 'charge' then
    local adds = admitted and charge.cost > 0 and not charge.is_gate
    if adds then
      steps.add(state, charge.cost)
      charge.wait = nil
    end
    if charge.of_another_kind then
      -- Also on a denial, or its wait would begin anew with each.
      redis.call('DEL', charge.key)
      if steps.used(state) > 0 then
        steps.save(state)
      end
    elseif adds then
      steps.save(state)
    else
      steps.keep(state)
    end
  end

  local used = steps.used(state)
  local remaining = math.max(0, charge.capacity - used)
  local wait = charge.wait or until_room(charge)
  local reset = 0
  if remaining + 1 == charge.cost and wait > 0 then
    -- It is the same unit that both wait for.
    reset = wait
  elseif used > 0 then
    reset = steps.until_room(state, remaining + 1)
  end
  reply[#reply + 1] = remaining
  reply[#reply + 1] = reset
  reply[#reply + 1] = wait

  local key, lasts = charge.key, expiries[charge.key]
  if lasts then
    redis.call('PEXPIRE', key, lasts)
  end
end
return reply
