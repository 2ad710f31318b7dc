-- Decides all requests of the batch, and writes the buckets that have changed to Redis.

-- Returns the algorithm that wrote this key, or nil if another application wrote it.
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

-- Reads the state of the bucket, and updates the state to the time `now`. Returns false if another application wrote
-- the key.
local function load_bucket(bucket)
  local quota = bucket.quota
  local algorithm_operations = quota.operations
  if algorithm_operations.load(bucket) then
    return true
  end
  -- Another algorithm may have written this key. In this case, convert the state: the units that count now are
  -- treated as taken now.
  local algorithm = algorithm_of(bucket.key)
  local previous_operations = algorithm and operations_of(algorithm)
  local previous = algorithm and previous_operations.new(bucket.key, quota)
  if not previous or previous_operations == algorithm_operations or not previous_operations.load(previous) then
    return false
  end
  algorithm_operations.empty(bucket)
  -- Units above the capacity count too. Otherwise a client would get these units back when an operator raises the
  -- limit again. A log has an upper bound for the converted units, because a log has one entry for each unit.
  local used = previous_operations.used(previous)
  bucket.converted = quota.is_log and min(used, max(quota.capacity, MAX_LOG_COST)) or used
  algorithm_operations.add(bucket, bucket.converted)
  return true
end

-- `buckets` has the loaded buckets, and `failures` has the error codes of the buckets that failed. The index in both
-- tables is the position of the key in KEYS.
local buckets, failures = {}, {}
-- The position in KEYS of the key that the next command uses. If the command fails, the script marks the bucket of
-- this key as failed.
local current
-- The buckets whose added units are already in Redis. If a later command fails, the script refunds these units before
-- it decides the batch again.
local saved
-- The ids of the refund requests that the script has already applied. If the script decides the batch again, it does
-- not apply these refunds a second time.
local refunded = {}
local error_texts = {}
local reply, reply_length

local function append(number)
  reply_length = reply_length + 1
  reply[reply_length] = number
end

-- Writes the changes of a bucket to Redis, and removes the bucket from `buckets`.
local function save(index)
  local bucket = buckets[index]
  local algorithm_operations = bucket.quota.operations
  current = index
  if bucket.converted then
    -- Write the converted state even if the request was denied. Otherwise each denied request would convert the key
    -- again, as if the units were taken at the time of this request, and the wait would never end.
    if bucket.is_checked then
      call('DEL', bucket.key)
      if algorithm_operations.used(bucket) > 0 then
        algorithm_operations.save(bucket)
      end
    end
  elseif bucket.additions then
    algorithm_operations.save(bucket)
  elseif bucket.is_checked then
    algorithm_operations.refresh_expiry(bucket)
  end
  if bucket.additions then
    saved[#saved + 1] = bucket
  end
  buckets[index] = nil
end

-- Returns the bucket of the key at position `index` in KEYS. Loads the bucket if it is not loaded yet, or if it is
-- loaded for a quota other than `quota`.
local function bucket_for(index, quota)
  local bucket = buckets[index]
  if bucket then
    if bucket.quota == quota then
      return bucket
    end
    -- An earlier request of the batch used another quota for this key. For example, an operator changes a limit, and
    -- only some of the application servers have the new limit. Save the bucket, and load the key again for the new
    -- quota.
    save(index)
  end
  current = index
  bucket = quota.operations.new(KEYS[index], quota)
  if not load_bucket(bucket) then
    error(redis.error_reply('WRONGTYPE this key was not written by RateGuard'))
  end
  buckets[index] = bucket
  return bucket
end

local function add(bucket, units, id)
  local quota, additions = bucket.quota, bucket.additions
  if quota.is_log then
    -- For one request, a log stores at most as many units as the capacity. Units above the capacity would not change
    -- any wait, because all units of a request expire at the same time.
    units = min(units, quota.capacity)
  end
  if not additions then
    additions = {}
    bucket.additions = additions
  end
  local length = #additions
  additions[length + 1], additions[length + 2] = id, units
  quota.operations.add(bucket, units)
end

-- Refunds the units that this attempt has already written for a bucket. The next attempt decides all requests of the
-- batch again, so the units would otherwise count twice.
local function roll_back(saved_bucket)
  local quota, additions = saved_bucket.quota, saved_bucket.additions
  for i = 1, #additions, 2 do
    local bucket = quota.operations.new(saved_bucket.key, quota)
    if load_bucket(bucket) then
      local by = ARGV[1] .. '-' .. whole(additions[i])
      quota.operations.refund(bucket, additions[i + 1], by, now)
    end
  end
end

-- Appends the status of one bucket of a request to the reply: the remaining units, the wait until one more unit
-- remains, and the wait until the cost fits.
local function append_status(bucket, part)
  local quota, cost = part.quota, part.cost
  local algorithm_operations = quota.operations
  local used = algorithm_operations.used(bucket)
  local remaining = max(0, quota.capacity - used)
  local wait = 0
  if part.exceeds_max_cost then
    wait = -1
  elseif remaining < cost then
    wait = algorithm_operations.wait_for(bucket, cost)
  end
  local reset = 0
  if remaining + 1 == cost and wait > 0 then
    -- The cost is `remaining + 1`, so the wait until the cost fits is also the wait until one more unit remains.
    reset = wait
  elseif used > 0 then
    reset = algorithm_operations.wait_for(bucket, remaining + 1)
  end
  reply[reply_length + 1], reply[reply_length + 2], reply[reply_length + 3] = remaining, reset, wait
  reply_length = reply_length + 3
end

-- Applies a reset or a refund. These operations write directly to Redis, so the script first saves the earlier
-- changes of the bucket. A bucket is converted if another algorithm wrote its state. A refund does nothing for such a
-- bucket, because the conversion has lost the times of the units.
local function change_key(index, operation, part, by, at)
  local bucket = buckets[index]
  local is_converted = bucket.converted
  save(index)
  if operation == 'refund' then
    if not is_converted then
      part.quota.operations.refund(bucket_for(index, part.quota), part.cost, by, at)
    end
  elseif is_converted then
    call('DEL', KEYS[index])
  elseif call('TYPE', KEYS[index]).ok ~= 'none' then
    part.quota.operations.reset(bucket_for(index, part.quota))
  end
  buckets[index] = nil
  bucket_for(index, part.quota)
end

-- `id` is the id of the next request. The receipts of a refund say which requests took the units. `receipt` is the
-- position in ARGV directly before the receipts of the next refund.
local id, receipt

-- Decides one request. `shape` has the operation, the quotas, the costs and the deadline that the request shares with
-- similar requests. `indices` has the positions of the request's keys in KEYS.
local function decide(shape)
  local parts, operation = shape.parts, shape.operation
  if shape.is_late then
    append(-1)
    return
  end
  for i = 1, #parts do
    local failure = failures[indices[i]]
    if failure then
      append(failure)
      return
    end
  end

  local is_admitted = true
  for i = 1, #parts do
    local part = parts[i]
    local bucket = bucket_for(indices[i], part.quota)
    if shape.is_check and part.cost > 0 and part.quota.capacity - part.quota.operations.used(bucket) < part.cost
      or shape.is_check and part.exceeds_max_cost then
      is_admitted = false
    end
  end

  for i = 1, #parts do
    local part, index = parts[i], indices[i]
    local bucket = buckets[index]
    current = index
    if operation == 'check' or operation == 'debit' then
      bucket.is_checked = true
      if is_admitted and part.cost > 0 and not part.is_check_only then
        add(bucket, part.cost, id)
      end
    elseif operation == 'reset' then
      change_key(index, operation, part)
    elseif operation == 'refund' and not refunded[id] then
      change_key(index, operation, part, ARGV[receipt + 2 * i - 1], tonumber(ARGV[receipt + 2 * i]))
    end
  end
  if operation == 'refund' then
    refunded[id] = true
  end

  append(is_admitted and 1 or 0)
  for i = 1, #parts do
    current = indices[i]
    append_status(buckets[current], parts[i])
  end
end

local function load_buckets(shape)
  for i, part in ipairs(shape.parts) do
    local index = indices[i]
    if not shape.is_late and not buckets[index] and not failures[index] then
      bucket_for(index, part.quota)
    end
  end
end

local function decide_next(shape)
  decide(shape)
  id = id + 1
  if shape.operation == 'refund' then
    receipt = receipt + 2 * #shape.parts
  end
end

-- Decides all requests of the batch, and saves the buckets that have changed.
local function decide_all()
  -- Do not clear `expiries`. An earlier attempt may have written some keys of this table without an expiry, so this
  -- attempt must set the expiries of these keys.
  buckets, saved = {}, {}
  reply, reply_length = { now }, 1
  id, receipt = tonumber(ARGV[2]), first_receipt
  if ARGV[4] == 'mixed' then
    -- In a mixed batch, the script writes some keys before it has decided all requests. Load all keys first. If a key
    -- cannot be loaded, the script then fails before its first write.
    each_request(load_buckets)
  end
  each_request(decide_next)

  for index = 1, #KEYS do
    if buckets[index] then
      save(index)
    end
    local millis = expiries[KEYS[index]]
    if millis then
      current = index
      -- For a failed bucket, use `pcall`, so that an error of PEXPIRE does not stop the script. An earlier attempt
      -- may have written the key, so the key needs an expiry. However, PEXPIRE may be the command that failed in the
      -- earlier attempt, and it may fail again.
      local run = failures[index] and redis.pcall or call
      run('PEXPIRE', KEYS[index], millis)
    end
  end
end

-- Marks the bucket of the current key as failed. In the next attempt, only the requests that use a failed bucket get
-- an error.
local function mark_failed(text)
  local text_number = 0
  for i, error_text in ipairs(error_texts) do
    if error_text == text then
      text_number = i
    end
  end
  if text_number == 0 then
    text_number = #error_texts + 1
    error_texts[text_number] = text
  end
  failures[current] = -1 - text_number
  if string.find(text, 'OOM', 1, true) then
    -- Redis is out of memory, so it would also reject the writes for the other buckets. Mark all buckets that have
    -- unsaved units as failed.
    for index, bucket in pairs(buckets) do
      if bucket.additions then
        failures[index] = -1 - text_number
      end
    end
  end
end

-- Returns the error as a reply of the script. Before Redis 7, an error is a text that begins with a position in the
-- script (`@user_script: 7:`). For such a text, the script raises the error again, because Redis then extracts the
-- original error code from the text.
local function as_reply(failure)
  if type(failure) == 'table' then
    return failure
  elseif string.find(failure, '^@') then
    error(failure, 0)
  end
  return redis.error_reply(failure)
end

local function encode_reply()
  if ARGV[3] == 'numbers' then
    return reply
  end
  local packed = {}
  -- Encode at most 1,000 numbers at a time, because `unpack` in Lua can return only a few thousand values.
  for first = 1, reply_length, 1000 do
    local last = min(first + 999, reply_length)
    packed[#packed + 1] = struct.pack('>' .. string.rep('i8', last - first + 1), unpack(reply, first, last))
  end
  local bytes = table.concat(packed)
  if #error_texts == 0 then
    return bytes
  end
  return { bytes, unpack(error_texts) }
end

-- If a command for a bucket fails, the script marks this bucket as failed and decides the batch again. It repeats
-- this until no command fails.
while true do
  local is_done, failure = pcall(decide_all)
  if is_done then
    return encode_reply()
  end
  local failed = current
  for _, bucket in ipairs(saved) do
    pcall(roll_back, bucket)
  end
  current = failed
  if ARGV[3] == 'numbers' or not current or failures[current] then
    return as_reply(failure)
  end
  mark_failed(type(failure) == 'table' and failure.err or tostring(failure))
end
