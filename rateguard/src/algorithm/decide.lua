local made = {}

-- The steps of an algorithm.
local function steps_of(algorithm)
  local steps = made[algorithm]
  if not steps then
    steps = algorithms[algorithm]()
    made[algorithm] = steps
  end
  return steps
end

-- The algorithm that the key is a count of, if it is one of ours.
local function algorithm_of(key)
  local kind = call('TYPE', key).ok
  if kind == 'string' then
    return 'sliding_window'
  elseif kind == 'zset' then
    return 'sliding_window_sorted_set'
  elseif kind == 'hash' then
    local algorithm = call('HGET', key, 'algorithm')
    return algorithms[algorithm or ''] and algorithm
  end
end

-- Reads the state as it is now; false if the key is no count of ours.
local function load(bucket, steps)
  if steps.load(bucket) then
    return true
  end
  -- It was counted with another algorithm: what counts of it counts on, as if it came now.
  local algorithm = algorithm_of(bucket.key)
  local other_steps = algorithm and steps_of(algorithm)
  local other = { key = bucket.key, quota = bucket.quota }
  if not algorithm or other_steps == steps or not other_steps.load(other) then
    return false
  end
  bucket.is_other = true
  steps.empty(bucket)
  steps.add(bucket, math.min(other_steps.used(other), bucket.quota.capacity))
  return true
end

-- Microseconds until there is room for the cost, or -1.
local function until_room(bucket, quota)
  local cost = quota.cost
  if cost == 0 then
    return 0
  end
  if cost > quota.capacity or cost > MAX_LOG_COST and quota.is_log then
    return -1
  end
  return quota.steps.until_room(bucket, cost)
end

local reply = { now }

-- Does this for so many to a bucket of each quota, whose keys come after that one, and says so in the reply; or what is
-- wrong. Of a refund, what was taken is told by the arguments after that one.
local function decide(operation, quotas, keys_after, number, asking, takings_after)
  local checks = operation == 'check' or operation == 'peek'
  local buckets, admitted = {}, asking
  for place, quota in ipairs(quotas) do
    local bucket = { key = KEYS[keys_after + place], quota = quota, number = number }
    buckets[place] = bucket
    if not load(bucket, quota.steps) then
      return redis.error_reply('WRONGTYPE this key is no count of ours')
    end
    if checks then
      bucket.wait = until_room(bucket, quota)
      if bucket.wait ~= 0 then
        admitted = 0
      elseif admitted > 1 then
        admitted = math.min(admitted, math.floor((quota.capacity - quota.steps.used(bucket)) / quota.cost))
      end
    end
  end

  -- Every bucket has been read before any is written, so that all are or none.
  local says = { admitted }
  for place, quota in ipairs(quotas) do
    local bucket, steps, key = buckets[place], quota.steps, KEYS[keys_after + place]
    if operation == 'refund' and not bucket.is_other then
      local after = takings_after + 2 * (place - 1)
      steps.give_back(bucket, quota.cost, ARGV[after + 1], tonumber(ARGV[after + 2]))
      load(bucket, steps)
    elseif operation == 'reset' then
      if bucket.is_other then
        call('DEL', key)
      elseif call('TYPE', key).ok ~= 'none' then
        steps.reset(bucket)
      end
      steps.empty(bucket)
    end

    if operation == 'check' or operation == 'charge' then
      local adds = admitted > 0 and quota.cost > 0 and not quota.is_gate
      if adds then
        steps.add(bucket, admitted * quota.cost)
        bucket.wait = nil
      end
      if bucket.is_other then
        -- Also on a denial, or its wait would begin anew with each.
        call('DEL', key)
        if steps.used(bucket) > 0 then
          steps.save(bucket)
        end
      elseif adds then
        steps.save(bucket)
      else
        steps.keep(bucket)
      end
    end

    local used = steps.used(bucket)
    local remaining = math.max(0, quota.capacity - used)
    local wait = bucket.wait or until_room(bucket, quota)
    local reset = 0
    if remaining + 1 == quota.cost and wait > 0 then
      -- It is the same unit that both wait for.
      reset = wait
    elseif used > 0 then
      reset = steps.until_room(bucket, remaining + 1)
    end
    says[#says + 1] = remaining
    says[#says + 1] = reset
    says[#says + 1] = wait

    local lasts = expiries[key]
    if lasts then
      call('PEXPIRE', key, lasts)
    end
  end
  for _, number in ipairs(says) do
    reply[#reply + 1] = number
  end
end

-- What an argument and those after it say of a quota.
local function read_quota(after)
  local algorithm, cost = ARGV[after + 1], tonumber(ARGV[after + 6])
  return {
    algorithm = algorithm,
    steps = steps_of(algorithm),
    is_log = algorithm == 'sliding_window' or algorithm == 'sliding_window_sorted_set',
    window = tonumber(ARGV[after + 2]),
    capacity = tonumber(ARGV[after + 3]),
    units = tonumber(ARGV[after + 4]),
    refill = tonumber(ARGV[after + 5]),
    cost = math.abs(cost),
    is_gate = cost < 0,
  }
end

local number, keys_after, after = tonumber(ARGV[2]), 0, 2
while after < #ARGV do
  local operation, latest = ARGV[after + 1], tonumber(ARGV[after + 2])
  local keys, sets = tonumber(ARGV[after + 3]), tonumber(ARGV[after + 4])
  after = after + 4
  local quotas = {}
  for place = 1, keys do
    quotas[place] = read_quota(after)
    after = after + 6
  end
  -- Whoever asked has given up, and what nobody waits for is not to be counted.
  local is_late = latest > 0 and now > latest
  for _ = 1, sets do
    local asking = tonumber(ARGV[after + 1])
    if is_late then
      reply[#reply + 1] = -1
    elseif keys_after == 0 then
      local failure = decide(operation, quotas, keys_after, number, asking, after + 1)
      if failure then
        return failure
      end
    else
      local is_done, failure = pcall(decide, operation, quotas, keys_after, number, asking, after + 1)
      if not is_done or failure then
        return reply
      end
    end
    number, keys_after = number + 1, keys_after + keys
    after = after + 1 + (operation == 'refund' and 2 * keys or 0)
  end
end
return reply
