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
  local other = algorithm and other_steps.new(bucket.key, bucket.quota)
  if not other or other_steps == steps or not other_steps.load(other) then
    return false
  end
  bucket.is_other = true
  steps.empty(bucket)
  -- Also what is beyond the capacity, or it would be free when the limit is raised again. A log has an entry for each, so
  -- there is an end to that.
  local quota, used = bucket.quota, other_steps.used(other)
  steps.add(bucket, quota.is_log and min(used, max(quota.capacity, MAX_LOG_COST)) or used)
  return true
end

local reply, replied = { now }, 1

-- Of a set of several buckets, what was added to some before another one fails, as if the caller may not use one of the
-- commands: that is given back, so that all or none is taken.
local added = {}

local function undo()
  for _, it in ipairs(added) do
    local bucket = it.steps.new(it.key, it.quota, it.number)
    if load(bucket, it.steps) then
      it.steps.give_back(bucket, it.units, ARGV[1] .. '-' .. whole(it.number), now)
    end
  end
end

-- Does this for so many to a bucket of each quota, whose keys come after that one, and says so in the reply; or what is
-- wrong. Of a refund, what was taken is told by the arguments after that one.
local function decide(operation, quotas, keys_after, number, asking, takings_after)
  local checks = operation == 'check' or operation == 'peek'
  local buckets, admitted = {}, asking
  -- What was added for the set before this one stays, also if this one can't even be read.
  if #added > 0 then
    added = {}
  end
  for place = 1, #quotas do
    local quota = quotas[place]
    local steps, cost = quota.steps, quota.cost
    local bucket = steps.new(KEYS[keys_after + place], quota, number)
    buckets[place] = bucket
    if not load(bucket, steps) then
      return redis.error_reply('WRONGTYPE this key is no count of ours')
    end
    if checks and quota.is_too_much then
      admitted = 0
    elseif checks and cost > 0 then
      admitted = min(admitted, floor(max(0, quota.capacity - steps.used(bucket)) / cost))
    end
  end

  -- Every bucket has been read before any is written, so that all are or none.
  for place = 1, #quotas do
    local bucket, quota, key = buckets[place], quotas[place], KEYS[keys_after + place]
    local steps, cost = quota.steps, quota.cost
    if operation == 'check' or operation == 'charge' then
      local units = quota.is_gate and 0 or admitted * cost
      if units > 0 then
        -- Beyond the capacity it makes no difference to a log: all of them leave at the same moment.
        steps.add(bucket, quota.is_log and min(units, quota.capacity) or units)
      end
      if bucket.is_other then
        -- Also on a denial, or its wait would begin anew with each.
        call('DEL', key)
        if steps.used(bucket) > 0 then
          steps.save(bucket)
        end
      elseif units > 0 then
        steps.save(bucket)
        if #quotas > 1 then
          added[#added + 1] = { steps = steps, key = key, quota = quota, number = number, units = units }
        end
      else
        steps.keep(bucket)
      end
    elseif operation == 'refund' and not bucket.is_other then
      local after = takings_after + 2 * (place - 1)
      steps.give_back(bucket, cost, ARGV[after + 1], tonumber(ARGV[after + 2]))
      bucket = steps.new(key, quota, number)
      buckets[place] = bucket
      load(bucket, steps)
    elseif operation == 'reset' then
      if bucket.is_other then
        call('DEL', key)
      elseif call('TYPE', key).ok ~= 'none' then
        steps.reset(bucket)
      end
      steps.empty(bucket)
    end

    local used = steps.used(bucket)
    local remaining = max(0, quota.capacity - used)
    local wait = 0
    if quota.is_too_much then
      wait = -1
    elseif remaining < cost then
      wait = steps.until_room(bucket, cost)
    end
    local reset = 0
    if remaining + 1 == cost and wait > 0 then
      -- It is the same unit that both wait for.
      reset = wait
    elseif used > 0 then
      reset = steps.until_room(bucket, remaining + 1)
    end
    bucket.remaining, bucket.reset, bucket.wait = remaining, reset, wait

    local lasts = expiries[key]
    if lasts then
      call('PEXPIRE', key, lasts)
    end
  end

  -- Only now, as what fails is in no reply.
  reply[replied + 1] = admitted
  replied = replied + 1
  for place = 1, #quotas do
    local bucket = buckets[place]
    reply[replied + 1], reply[replied + 2], reply[replied + 3] = bucket.remaining, bucket.reset, bucket.wait
    replied = replied + 3
  end
end

-- What an argument and those after it say of a quota.
local function read_quota(after)
  local algorithm, capacity, cost = ARGV[after + 1], tonumber(ARGV[after + 3]), tonumber(ARGV[after + 6])
  local is_gate = cost < 0
  cost = math.abs(cost)
  local is_log = algorithm == 'sliding_window' or algorithm == 'sliding_window_sorted_set'
  return {
    algorithm = algorithm,
    steps = steps_of(algorithm),
    window = tonumber(ARGV[after + 2]),
    capacity = capacity,
    units = tonumber(ARGV[after + 4]),
    refill = tonumber(ARGV[after + 5]),
    cost = cost,
    is_log = is_log,
    is_gate = is_gate,
    -- At any time.
    is_too_much = cost > capacity or is_log and cost > MAX_LOG_COST,
  }
end

-- What was raised, as the reply that it would have been. It is a table, or the text of one; or where servers are old, a text with
-- a place in the script before it, which they know when they see it again.
local function as_reply(failure)
  if type(failure) == 'table' then
    return failure
  elseif string.find(failure, '^@') then
    error(failure, 0)
  end
  return redis.error_reply(failure)
end

-- The reply, as it is to be told.
local function told()
  if ARGV[3] == 'numbers' then
    return reply
  end
  local parts = {}
  -- Lua can't pass many more at once.
  for first = 1, replied, 1000 do
    local last = min(first + 999, replied)
    parts[#parts + 1] = struct.pack('>' .. string.rep('i8', last - first + 1), unpack(reply, first, last))
  end
  return table.concat(parts)
end

local number, keys_after, after = tonumber(ARGV[2]), 0, 3
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
  local next_asking = string.gmatch(ARGV[after + 1], '%d+')
  after = after + 1
  for _ = 1, sets do
    local asking = tonumber(next_asking() or 1)
    if is_late then
      reply[replied + 1] = -1
      replied = replied + 1
    else
      local is_done, failure = pcall(decide, operation, quotas, keys_after, number, asking, after)
      if not is_done then
        pcall(undo)
      end
      if (failure or not is_done) and keys_after > 0 then
        return told()
      elseif not is_done then
        return as_reply(failure)
      elseif failure then
        return failure
      end
    end
    number, keys_after = number + asking, keys_after + keys
    after = after + (operation == 'refund' and 2 * keys or 0)
  end
end
return told()
