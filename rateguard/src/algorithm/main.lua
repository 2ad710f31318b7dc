local operations = {}

-- The operations of an algorithm, made when they are first needed.
local function operations_of(algorithm)
  local known = operations[algorithm]
  if not known then
    known = algorithms[algorithm]()
    operations[algorithm] = known
  end
  return known
end

-- The algorithm that wrote this key, or nil for a key of another application.
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

-- The request id of converted units. The ids of requests start at 1.
local CONVERSION = 0

-- Reads the state at `now`; false if the key belongs to another application.
local function load(bucket)
  local quota = bucket.quota
  local algorithm_operations = quota.operations
  if algorithm_operations.load(bucket) then
    return true
  end
  -- Another algorithm wrote this key. Its units in use are carried over as if they were taken now.
  local algorithm = algorithm_of(bucket.key)
  local other_operations = algorithm and operations_of(algorithm)
  local other = algorithm and other_operations.new(bucket.key, quota)
  if not other or other_operations == algorithm_operations or not other_operations.load(other) then
    return false
  end
  bucket.is_converted = true
  algorithm_operations.empty(bucket)
  -- Units beyond the capacity count as well, or they would be free when the limit is raised again. A log has an entry for
  -- each of them, so their number is bounded.
  local used = other_operations.used(other)
  algorithm_operations.add(bucket, quota.is_log and min(used, max(quota.capacity, MAX_LOG_COST)) or used, CONVERSION)
  return true
end

-- The arguments, one after the other.
local position = 4

local function argument()
  position = position + 1
  return ARGV[position]
end

local quotas, shapes = {}, {}

for place = 1, tonumber(argument()) do
  local algorithm = argument()
  quotas[place] = {
    algorithm = algorithm,
    operations = operations_of(algorithm),
    is_log = algorithm == 'sliding_window' or algorithm == 'sliding_window_sorted_set',
    window = tonumber(argument()),
    capacity = tonumber(argument()),
    units = tonumber(argument()),
    refill = tonumber(argument()),
  }
end

for place = 1, tonumber(argument()) do
  local operation, deadline = argument(), tonumber(argument())
  local parts = {}
  for part = 1, tonumber(argument()) do
    local quota, cost = quotas[tonumber(argument())], tonumber(argument())
    local is_check_only = cost < 0
    cost = math.abs(cost)
    parts[part] = {
      quota = quota,
      cost = cost,
      is_check_only = is_check_only,
      -- It never has room.
      exceeds_max_cost = cost > quota.capacity or quota.is_log and cost > MAX_LOG_COST,
    }
  end
  shapes[place] = {
    operation = operation,
    is_check = operation == 'check' or operation == 'peek',
    -- The client stopped waiting at the deadline, so the request must not take units.
    is_late = deadline > 0 and now > deadline,
    parts = parts,
  }
end

local requests = argument()
local first_receipt = position

-- The loaded buckets, and the error codes of buckets that cannot be used, by the positions of their keys.
local buckets, failures = {}, {}
-- The position of the key that a command is about to touch.
local current
-- The buckets whose additions are written already.
local saved
-- The refunds that are applied already, by request id. If the batch is decided once more, they are skipped.
local refunded = {}
local error_texts = {}
local reply, replied

local function put(number)
  replied = replied + 1
  reply[replied] = number
end

-- Writes the pending changes of a bucket, and unloads it.
local function save(index)
  local bucket = buckets[index]
  local algorithm_operations = bucket.quota.operations
  current = index
  if bucket.is_converted then
    -- Also for a denial: else each denial would convert the key again with the current time, and the wait would never end.
    if bucket.is_checked then
      call('DEL', bucket.key)
      if algorithm_operations.used(bucket) > 0 then
        algorithm_operations.save(bucket)
      end
    end
  elseif bucket.additions then
    algorithm_operations.save(bucket)
  elseif bucket.is_checked then
    algorithm_operations.keep(bucket)
  end
  if bucket.additions then
    saved[#saved + 1] = bucket
  end
  buckets[index] = nil
end

-- The bucket of this key, loaded for this quota.
local function use(index, quota)
  local bucket = buckets[index]
  if bucket then
    if bucket.quota == quota then
      return bucket
    end
    -- Two requests have different quotas for one key, as while a limit is being changed.
    save(index)
  end
  current = index
  bucket = quota.operations.new(KEYS[index], quota)
  if not load(bucket) then
    error(redis.error_reply('WRONGTYPE this key was not written by RateGuard'))
  end
  buckets[index] = bucket
  return bucket
end

local function add(bucket, units, id)
  local quota, additions = bucket.quota, bucket.additions
  if quota.is_log then
    -- A log needs no more entries than its capacity for one request: all of them leave at the same moment.
    units = min(units, quota.capacity)
  end
  if not additions then
    additions = {}
    bucket.additions = additions
  end
  local number = #additions
  additions[number + 1], additions[number + 2] = id, units
  quota.operations.add(bucket, units, id)
end

-- Gives back what this attempt has added to a bucket and saved.
local function undo(it)
  for place = 1, #it.additions, 2 do
    local bucket = it.quota.operations.new(it.key, it.quota)
    if load(bucket) then
      local by = ARGV[1] .. '-' .. whole(it.additions[place])
      it.quota.operations.give_back(bucket, it.additions[place + 1], by, now)
    end
  end
end

-- Appends the remaining units and both waits of this part to the reply.
local function put_status(bucket, part)
  local quota, cost = part.quota, part.cost
  local algorithm_operations = quota.operations
  local used = algorithm_operations.used(bucket)
  local remaining = max(0, quota.capacity - used)
  local wait = 0
  if part.exceeds_max_cost then
    wait = -1
  elseif remaining < cost then
    wait = algorithm_operations.until_room(bucket, cost)
  end
  local reset = 0
  if remaining + 1 == cost and wait > 0 then
    -- Both wait for the same unit, so one look is enough.
    reset = wait
  elseif used > 0 then
    reset = algorithm_operations.until_room(bucket, remaining + 1)
  end
  reply[replied + 1], reply[replied + 2], reply[replied + 3] = remaining, reset, wait
  replied = replied + 3
end

-- Applies a reset or a refund. Both change the key itself, so pending changes are saved before. Converted units cannot be refunded.
local function change_key(index, operation, part, by, at)
  local bucket = buckets[index]
  local is_converted = bucket.is_converted
  save(index)
  if operation == 'refund' then
    if not is_converted then
      part.quota.operations.give_back(use(index, part.quota), part.cost, by, at)
    end
  elseif is_converted then
    call('DEL', KEYS[index])
  elseif call('TYPE', KEYS[index]).ok ~= 'none' then
    part.quota.operations.reset(use(index, part.quota))
  end
  buckets[index] = nil
  use(index, part.quota)
end

-- The positions of the buckets of the request that is being decided.
local indices = {}

-- The id of the next request, and the position in ARGV before its receipts, which only refunds have.
local id, receipt

-- Decides the request of this shape for the buckets at `indices`.
local function decide(shape)
  local parts, operation = shape.parts, shape.operation
  if shape.is_late then
    put(-1)
    return
  end
  for place = 1, #parts do
    local failure = failures[indices[place]]
    if failure then
      put(failure)
      return
    end
  end

  local is_admitted = true
  for place = 1, #parts do
    local part = parts[place]
    local bucket = use(indices[place], part.quota)
    if shape.is_check and part.cost > 0 and part.quota.capacity - part.quota.operations.used(bucket) < part.cost
      or shape.is_check and part.exceeds_max_cost then
      is_admitted = false
    end
  end

  for place = 1, #parts do
    local part, index = parts[place], indices[place]
    local bucket = buckets[index]
    current = index
    if operation == 'check' or operation == 'charge' then
      bucket.is_checked = true
      if is_admitted and part.cost > 0 and not part.is_check_only then
        add(bucket, part.cost, id)
      end
    elseif operation == 'reset' then
      change_key(index, operation, part)
    elseif operation == 'refund' and not refunded[id] then
      change_key(index, operation, part, ARGV[receipt + 2 * place - 1], tonumber(ARGV[receipt + 2 * place]))
    end
  end
  if operation == 'refund' then
    refunded[id] = true
  end

  put(is_admitted and 1 or 0)
  for place = 1, #parts do
    current = indices[place]
    put_status(buckets[current], parts[place])
  end
end

-- Calls `act` with the shape of each request, and the positions of its buckets in `indices`.
local function each_request(act)
  if requests == '' then
    for index = 1, #KEYS do
      indices[1] = index
      act(shapes[1])
    end
    return
  end
  local next_number = string.gmatch(requests, '%d+')
  for number in next_number do
    local shape = shapes[tonumber(number)]
    for place = 1, #shape.parts do
      indices[place] = tonumber(next_number())
    end
    act(shape)
  end
end

local function load_buckets(shape)
  for place, part in ipairs(shape.parts) do
    local index = indices[place]
    if not shape.is_late and not buckets[index] and not failures[index] then
      use(index, part.quota)
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

-- Decides all requests, and saves what they have changed.
local function decide_all()
  -- Expiries stay, for keys that an earlier attempt has written.
  buckets, saved = {}, {}
  reply, replied = { now }, 1
  id, receipt = tonumber(ARGV[2]), first_receipt
  if ARGV[4] == 'mixed' then
    -- Keys are written before all requests are decided, so keys that cannot be used have to be known before that.
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
      call('PEXPIRE', KEYS[index], millis)
    end
  end
end

-- Marks the bucket that failed, so that only the requests that use it fail.
local function mark_failed(text)
  local number = 0
  for place, known in ipairs(error_texts) do
    if known == text then
      number = place
    end
  end
  if number == 0 then
    number = #error_texts + 1
    error_texts[number] = text
  end
  failures[current] = -1 - number
  if string.find(text, 'OOM', 1, true) then
    -- Without memory, no other bucket with unsaved additions can be written either.
    for index, bucket in pairs(buckets) do
      if bucket.additions then
        failures[index] = -1 - number
      end
    end
  end
end

-- The error as a reply. Servers before Redis 7 raise texts that begin with a place in the script (`@user_script: 7:`), and parse
-- them when they are raised again.
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
  -- The number of values that `unpack` returns is limited.
  for first = 1, replied, 1000 do
    local last = min(first + 999, replied)
    packed[#packed + 1] = struct.pack('>' .. string.rep('i8', last - first + 1), unpack(reply, first, last))
  end
  local bytes = table.concat(packed)
  if #error_texts == 0 then
    return bytes
  end
  return { bytes, unpack(error_texts) }
end

-- Decides the batch again without the bucket that failed, until all others are decided.
while true do
  local is_done, failure = pcall(decide_all)
  if is_done then
    return encode_reply()
  end
  local failed = current
  for _, bucket in ipairs(saved) do
    pcall(undo, bucket)
  end
  current = failed
  if ARGV[3] == 'numbers' or not current or failures[current] then
    return as_reply(failure)
  end
  mark_failed(type(failure) == 'table' and failure.err or tostring(failure))
end
