-- Reads the arguments of the script. The comment at the start of `prelude.lua` documents these arguments. A shape is
-- the part of a request that similar requests have in common: the operation, the deadline, the quotas and the costs.

-- Returns the operations of an algorithm. Creates the operations when the algorithm is used for the first time.
local function algorithm_named(name)
  local algorithm = created[name]
  if not algorithm then
    algorithm = algorithms[name]()
    created[name] = algorithm
  end
  return algorithm
end

local keys, arguments = KEYS, ARGV
-- The position of the last argument that the script has read.
local position = 5

local quotas, shapes = {}, {}

for i = 1, tonumber(arguments[position]) do
  local name = arguments[position + 1]
  quotas[i] = {
    algorithm = algorithm_named(name),
    is_log = name == 'sliding_window' or name == 'sliding_window_sorted_set' or name == 'concurrency',
    window = tonumber(arguments[position + 2]),
    capacity = tonumber(arguments[position + 3]),
    units = tonumber(arguments[position + 4]),
    refill = tonumber(arguments[position + 5]),
    -- The duration of a lease. Only a quota of sliding_window_sorted_set or token_bucket_leases can have one.
    lease = name == 'sliding_window_sorted_set' and tonumber(arguments[position + 4]) or 0,
  }
  position = position + 5
  if name == 'token_bucket_leases' then
    position = position + 1
    quotas[i].lease = tonumber(arguments[position])
  elseif name == 'calendar' then
    local quota = quotas[i]
    quota.is_outside = true
    for j = position + 1, position + 3 do
      local starts, ends = tonumber(arguments[j]), tonumber(arguments[j + 1])
      if starts <= now and now < ends then
        quota.period_start, quota.period_end, quota.is_outside = starts, ends, false
      end
    end
    position = position + 4
  end
end

position = position + 1
for i = 1, tonumber(arguments[position]) do
  local operation, deadline = arguments[position + 1], tonumber(arguments[position + 2])
  local part_count = tonumber(arguments[position + 3])
  position = position + 3
  local is_check = operation == 'check' or operation == 'peek' or operation == 'lease'
  local parts, is_outside = {}, false
  for j = 1, part_count do
    local quota, cost = quotas[tonumber(arguments[position + 1])], tonumber(arguments[position + 2])
    position = position + 2
    is_outside = is_outside or quota.is_outside
    local is_check_only = cost < 0
    cost = math.abs(cost)
    local part = {
      quota = quota,
      cost = cost,
      -- A cost above the maximum never fits, so the script denies the check, and reports -1 as the wait.
      exceeds_max_cost = cost > quota.capacity or quota.is_log and cost > MAX_LOG_COST,
      -- The script denies a request if more units than this number count.
      max_used = math.huge,
      -- The units that an admitted request takes.
      takes = is_check_only and 0 or cost,
    }
    if is_check and part.exceeds_max_cost then
      part.max_used = -1
    elseif is_check and cost > 0 then
      part.max_used = quota.capacity - cost
    end
    if quota.is_log then
      -- For one request, a log stores at most as many units as the capacity. Units above the capacity would not change
      -- any wait, because all units of a request expire at the same time.
      part.takes = min(part.takes, quota.capacity)
    end
    parts[j] = part
  end
  shapes[i] = {
    operation = operation,
    -- After its deadline, a request must not take units, because the client no longer waits for the reply. If `now` is
    -- in none of the calendar periods that the client has sent, the client has a wrong estimate of this clock. It learns
    -- the time from the reply, and sends the request again.
    is_late = is_outside or deadline > 0 and now > deadline,
    takes_units = operation == 'check' or operation == 'debit' or operation == 'lease',
    is_lease = operation == 'lease',
    -- The number of arguments with the receipts of a refund, of a renewal or of a return.
    receipts = (operation == 'refund' or operation == 'renew' or operation == 'return') and 2 * #parts or 0,
    parts = parts,
  }
end

-- `requests` is the list of requests. The receipts of a refund or of a renewal say which requests took the units.
-- `first_receipt` is the position in ARGV directly before the first receipt.
local first_receipt = position + 1
local requests = arguments[first_receipt]

-- For each bucket of the current request, the position of its key in KEYS.
local indices = {}

-- Calls `callback` for each request that `unit_checks.lua` has not decided, with the shape of the request. Before each
-- call, `indices` is filled with the positions in KEYS of the buckets of the request.
local function each_request(callback)
  if requests == '' then
    for index = decided + 1, #keys do
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

