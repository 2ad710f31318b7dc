-- Reads the arguments of the script. The comment at the start of `prelude.lua` documents these arguments. A shape is
-- the part of a request that similar requests have in common: the operation, the deadline, the quotas and the costs.

local operations = {}

-- Returns the operations of an algorithm. Creates the operations when the algorithm is used for the first time.
local function operations_of(algorithm)
  local cached = operations[algorithm]
  if not cached then
    cached = algorithms[algorithm]()
    operations[algorithm] = cached
  end
  return cached
end

-- The position in ARGV of the last argument that the script has read.
local position = 4

-- Reads the next argument from ARGV, and returns the argument.
local function argument()
  position = position + 1
  return ARGV[position]
end

local quotas, shapes = {}, {}

for i = 1, tonumber(argument()) do
  local algorithm = argument()
  quotas[i] = {
    algorithm = algorithm,
    operations = operations_of(algorithm),
    is_log = algorithm == 'sliding_window' or algorithm == 'sliding_window_sorted_set',
    window = tonumber(argument()),
    capacity = tonumber(argument()),
    units = tonumber(argument()),
    refill = tonumber(argument()),
  }
end

for i = 1, tonumber(argument()) do
  local operation, deadline = argument(), tonumber(argument())
  local parts = {}
  for j = 1, tonumber(argument()) do
    local quota, cost = quotas[tonumber(argument())], tonumber(argument())
    local is_check_only = cost < 0
    cost = math.abs(cost)
    parts[j] = {
      quota = quota,
      cost = cost,
      is_check_only = is_check_only,
      -- A cost above the maximum never fits, so the script denies the check, and reports -1 as the wait.
      exceeds_max_cost = cost > quota.capacity or quota.is_log and cost > MAX_LOG_COST,
    }
  end
  shapes[i] = {
    operation = operation,
    is_check = operation == 'check' or operation == 'peek',
    -- After its deadline, a request must not take units, because the client no longer waits for the reply.
    is_late = deadline > 0 and now > deadline,
    parts = parts,
  }
end

-- `requests` is the list of requests. The receipts of a refund say which requests took the units. `first_receipt` is
-- the position in ARGV directly before the first receipt.
local requests = argument()
local first_receipt = position

-- For each bucket of the current request, the position of its key in KEYS.
local indices = {}

-- Calls `callback` for each request, with the shape of the request. Before each call, `indices` is filled with the
-- positions in KEYS of the buckets of the request.
local function each_request(callback)
  if requests == '' then
    for index = 1, #KEYS do
      indices[1] = index
      callback(shapes[1])
    end
    return
  end
  local next_number = string.gmatch(requests, '%d+')
  for number in next_number do
    local shape = shapes[tonumber(number)]
    for i = 1, #shape.parts do
      indices[i] = tonumber(next_number())
    end
    callback(shape)
  end
end

