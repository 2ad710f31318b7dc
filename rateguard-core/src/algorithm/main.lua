-- Decides all requests of the batch, and writes the buckets that have changed to Redis.

-- Converts the state that another algorithm wrote: the units that count now are treated as taken now. Raises an error
-- if another application wrote the key. The permits of a concurrency limit have a key of their own, so there is nothing
-- to convert for them.
local function convert(key, quota)
  -- At most one algorithm loads the key, so the order does not matter.
  for name in pairs(algorithms) do
    local algorithm = algorithm_named(name)
    local is_rate = not algorithm.is_held and not quota.algorithm.is_held
    local previous = is_rate and algorithm ~= quota.algorithm and algorithm.load(key, quota)
    local is_sorted_log = name == 'sliding_window_sorted_set' and quota.is_log
    if previous and ((previous.future or 0) > 0 or is_sorted_log and previous.used > 0) then
      -- A process may use the units of its lease until the lease ends. If they counted as taken now, they would expire
      -- too early. So the bucket remains the state of this algorithm until the leases have ended.
      -- An exact log that is a sorted set remains a sorted set as long as it has units. Application servers with and
      -- without a lease would otherwise convert it again and again, and its units would never expire.
      previous.algorithm = algorithm
      return previous
    end
    if previous then
      -- Units above the capacity count too. Otherwise a client would get these units back when an operator raises the
      -- limit again. A log has an upper bound for the converted units, because a log has one entry for each unit.
      local used = previous.used
      used = quota.is_log and min(used, max(quota.capacity, MAX_LOG_COST)) or used
      local bucket = quota.algorithm.new(key, quota, used)
      bucket.converted, bucket.is_stale = used, true
      return bucket
    end
  end
  error(redis.error_reply('WRONGTYPE this key was not written by RateGuard'))
end

-- `buckets` has the loaded buckets, and `failures` has the error codes of the buckets that failed. The index in both
-- tables is the position of the key in KEYS.
local buckets, failures = {}, {}
local has_failures = false
-- The position in KEYS of the key that the next command uses. If the command fails, the script marks the bucket of
-- this key as failed.
local current
-- The buckets that take units and whose `save` was called. If a later command fails, the script refunds the units that
-- are in Redis, before it decides the batch again.
local saved, saved_count
-- The ids of the refunds and returns that the script has already applied. If the script decides the batch again, it
-- does not apply them a second time.
local refunded = {}
local error_texts = {}
-- The length of the reply before this file adds numbers.
local decided_length = reply_length

-- Writes the changes of a bucket to Redis.
local function save(bucket)
  local algorithm, taken = bucket.algorithm, bucket.taken
  if not taken then
    -- The script has only read this bucket.
    return
  end
  if taken > 0 then
    saved_count = saved_count + 1
    saved[saved_count] = bucket
  end
  if bucket.converted then
    -- Write the converted state even if the request was denied. Otherwise each denied request would convert the key
    -- again, as if the units were taken at the time of this request, and the wait would never end.
    call('DEL', bucket.key)
    if bucket.used > 0 then
      algorithm.save(bucket)
    end
  elseif taken > 0 then
    algorithm.save(bucket)
  elseif bucket.is_stale then
    algorithm.refresh(bucket)
  end
  bucket.is_written = true
end

-- Saves the bucket of the key at position `index` in KEYS, and removes it from `buckets`.
local function save_and_unload(index)
  current = index
  save(buckets[index])
  buckets[index] = nil
end

-- Loads the bucket of the key at position `index` in KEYS.
local function load_bucket(index, quota)
  if buckets[index] then
    -- An earlier request of the batch used another quota for this key. For example, an operator changes a limit, and
    -- only some of the application servers have the new limit. Save the bucket, and load the key again for the new
    -- quota.
    save_and_unload(index)
  end
  current = index
  local key = keys[index]
  local bucket = quota.algorithm.load(key, quota) or convert(key, quota)
  bucket.algorithm = bucket.algorithm or quota.algorithm
  buckets[index] = bucket
  return bucket
end

-- Appends the status of one bucket of a request to the reply: the remaining units, the wait until one more unit
-- remains, and the wait until the cost fits.
local function append_status(bucket, part)
  local quota, cost, used = part.quota, part.cost, bucket.used
  local wait_for = bucket.algorithm.wait_for
  local remaining, wait, reset = quota.capacity - used, 0, 0
  if remaining < 0 then
    remaining = 0
  end
  if part.exceeds_max_cost then
    wait = -1
  elseif remaining < cost then
    wait = wait_for(bucket, cost)
  end
  if remaining + 1 == cost and wait > 0 then
    -- The cost is `remaining + 1`, so the wait until the cost fits is also the wait until one more unit remains.
    reset = wait
  elseif used > 0 then
    reset = wait_for(bucket, remaining + 1)
  end
  local length = reply_length
  reply[length + 1], reply[length + 2], reply[length + 3] = remaining, reset, wait
  reply_length = length + 3
end

-- Only a mixed batch needs these functions. The other batches do not create them, because this takes 0.1 µs for each
-- function.
local is_mixed = arguments[4] == 'mixed'
local change_key, renew_permits, load_buckets
if is_mixed then
  -- Applies a reset, a refund or the return of a lease to the key at position `index` in KEYS. These operations write
  -- directly to Redis, so the script first saves the earlier changes of the bucket. A bucket is converted if another
  -- algorithm wrote its state. A refund does nothing for such a bucket, because the conversion has lost the times of
  -- the units.
  function change_key(index, operation, part, by, at)
    local quota, key = part.quota, keys[index]
    local is_converted = buckets[index].converted
    save_and_unload(index)
    if operation == 'refund' or operation == 'return' then
      local bucket = not is_converted and load_bucket(index, quota)
      if bucket and operation == 'refund' then
        bucket.algorithm.refund(bucket, part.cost, by, tonumber(at))
      elseif bucket and bucket.algorithm.settle then
        bucket.algorithm.settle(bucket, part.cost, by, at)
      end
    elseif is_converted then
      call('DEL', key)
    elseif call('TYPE', key).ok ~= 'none' then
      local bucket = load_bucket(index, quota)
      bucket.algorithm.reset(bucket)
    end
    load_bucket(index, quota)
  end

  -- Renews the permits of a request if it still holds all of them. Otherwise renews none of them. The receipts of the
  -- permits follow the position `first_receipt` in ARGV. Returns whether the permits were renewed.
  function renew_permits(parts, first_receipt)
    for i, part in ipairs(parts) do
      local index, algorithm = indices[i], part.quota.algorithm
      if algorithm.is_held then
        save_and_unload(index)
        if not algorithm.is_held(load_bucket(index, part.quota), part.cost, arguments[first_receipt + 2 * i - 1]) then
          return false
        end
      end
    end
    for i, part in ipairs(parts) do
      local index, algorithm = indices[i], part.quota.algorithm
      if algorithm.renew then
        current = index
        algorithm.renew(buckets[index], part.cost, arguments[first_receipt + 2 * i - 1])
        load_bucket(index, part.quota)
      end
    end
    return true
  end

  function load_buckets(shape)
    for i, part in ipairs(shape.parts) do
      local index = indices[i]
      if not shape.is_late and not buckets[index] and not failures[index] then
        load_bucket(index, part.quota)
      end
    end
  end
end

-- Returns the error code of a bucket of the current request that has failed. Returns nil if there is none.
local function failure_of(parts)
  for i = 1, #parts do
    local failure = failures[indices[i]]
    if failure then
      return failure
    end
  end
end

-- `id` is the id of the current request. The receipts of a refund, of a renewal or of a return say which requests took
-- the units. `receipt` is the position in ARGV directly before the next receipts.
local id, receipt

-- Decides one request. `shape` has the operation, the quotas, the costs and the deadline that the request shares with
-- similar requests. `indices` has the positions of the request's keys in KEYS.
local function decide(shape)
  local parts, first_receipt = shape.parts, receipt
  id, receipt = id + 1, receipt + shape.receipts
  local failure = shape.is_late and -1 or has_failures and failure_of(parts)
  if failure then
    reply_length = reply_length + 1
    reply[reply_length] = failure
    return
  end

  local is_admitted, count = true, #parts
  local part, index, bucket
  for i = 1, count do
    part, index = parts[i], indices[i]
    bucket = buckets[index]
    if not bucket or bucket.quota ~= part.quota then
      bucket = load_bucket(index, part.quota)
    end
    if bucket.used > part.max_used then
      is_admitted = false
    end
  end

  local operation, takes_units = shape.operation, shape.takes_units
  if operation == 'renew' then
    is_admitted = renew_permits(parts, first_receipt)
  elseif operation == 'lease' and is_admitted then
    -- With a further lease, the bucket would remain the state of another algorithm for longer.
    local algorithm = bucket.algorithm
    is_admitted = algorithm == part.quota.algorithm and not (algorithm.is_full and algorithm.is_full(bucket))
  end
  reply_length = reply_length + 1
  reply[reply_length] = is_admitted and 1 or 0
  for i = 1, count do
    -- If the request has only one part, the variables still have its values.
    if count > 1 then
      part, index = parts[i], indices[i]
      bucket = buckets[index]
    end
    current = index
    if takes_units then
      local units = is_admitted and part.takes or 0
      if units > 0 then
        local add = bucket.algorithm.add
        bucket.used = bucket.used + units
        if add then
          add(bucket, units, id, shape.is_lease)
        end
      end
      bucket.taken = (bucket.taken or 0) + units
    elseif operation == 'reset' then
      change_key(index, operation, part)
    elseif (operation == 'refund' or operation == 'return') and not refunded[id] then
      local by, at = arguments[first_receipt + 2 * i - 1], arguments[first_receipt + 2 * i]
      change_key(index, operation, part, by, at)
    end
    append_status(buckets[index], part)
  end
  if operation == 'refund' or operation == 'return' then
    refunded[id] = true
  end
end

-- Sets the expiries in the table `expiries`.
local function set_expiries()
  for index = 1, #keys do
    local key = keys[index]
    local millis = expiries[key]
    if millis then
      current = index
      -- For a failed bucket, use `pcall`, so that an error of PEXPIRE does not stop the script. An earlier attempt
      -- may have written the key, so the key needs an expiry. However, PEXPIRE may be the command that failed in the
      -- earlier attempt, and it may fail again.
      local run = failures[index] and redis.pcall or call
      run('PEXPIRE', key, millis)
    end
  end
end

-- Decides all requests of the batch, and saves the buckets that have changed.
local function decide_all()
  -- Do not clear `expiries`. An earlier attempt may have written some keys of this table without an expiry, so this
  -- attempt must set the expiries of these keys.
  buckets, saved, saved_count = {}, {}, 0
  reply_length = decided_length
  id, receipt = tonumber(arguments[2]) + decided - 1, first_receipt
  if is_mixed then
    -- In a mixed batch, the script writes some keys before it has decided all requests. Load all keys first. If a key
    -- cannot be loaded, the script then fails before its first write.
    each_request(load_buckets)
  end
  each_request(decide)

  for index = 1, #keys do
    local bucket = buckets[index]
    local taken = bucket and bucket.taken
    -- Most denied requests write nothing, so do not call a function for them.
    if taken and (taken > 0 or bucket.is_stale) then
      save_and_unload(index)
    end
  end
  if next(expiries) then
    set_expiries()
  end
end

local function encode_reply()
  if arguments[3] == 'numbers' then
    return reply
  end
  local bytes = encode_bytes(reply, reply_length)
  if #error_texts == 0 then
    return bytes
  end
  return { bytes, unpack(error_texts) }
end

