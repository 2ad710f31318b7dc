-- Decides a batch of requests atomically: Redis runs no other command while the script runs.
--
-- The script decides the requests in order. Each decision is the same as if the request had its own script call. A
-- check takes units from all of its buckets or from none. The script loads and saves each bucket once, even if many
-- requests use the bucket. The script loads a bucket again if a request has another quota for the key, or resets or
-- refunds the bucket.
--
-- The script is the concatenation of prelude.lua, exact_log.lua, one file for each algorithm, arguments.lua and
-- main.lua.
--
-- KEYS     the buckets of the batch, each once
-- ARGV[1]  the id of the process that sends the batch
-- ARGV[2]  the id of the first request; the id of each further request is larger by 1
-- ARGV[3]  the encoding of the reply: `bytes`, eight for each number in big-endian order, or `numbers`
-- ARGV[4]  `mixed` if requests have different quotas for one key, or there are refunds or resets; else empty
-- ARGV[5]  the number of quotas, and for each of them
--            the algorithm
--            the window in microseconds
--            the capacity in units
--            for a token bucket: the fractions per token
--            for a token bucket: the refill in fractions per microsecond
-- then     the number of shapes, and for each of them (a shape is the common part of several requests)
--            the operation: check, peek, debit, refund or reset
--            the deadline in microseconds since 1970 on this server's clock; 0 if the client has no estimate of it
--            the number of parts, one for each bucket of such a request, and for each of them
--              its quota, by its position in the list of quotas
--              its cost in units; for a negative cost -n, n units must fit, but the script takes no units
-- then     the requests, as decimal numbers separated by other characters: for each request the position of its shape,
--          and for each part the position of its key. Positions start at 1. An empty text means one request of the
--          first shape for each key
-- then     for each part of each refund: the id `process-request` of the request for which the script took the units,
--          and the time of that request
--
-- Reply    { now, and for each request its status:
--            1 (admitted) or 0 (denied), and for each part
--              remaining units, microseconds until one more unit remains (0 if all remain), microseconds until the cost
--              fits (-1 if it never fits)
--            -1: the deadline had expired, so the request was not executed
--            -2, -3, …: the request was not executed; the first, second, … error text is the reason }
--          If there are error texts, the reply is an array of the reply above and the texts. With `numbers`, an error
--          for one bucket fails the whole call, and the reply is this error.
-- Writes   no key for denials and peeks, unless the clock was set back or, for a denial, the quota changed
-- Keys     a string or a sorted set for a log, else a hash with the algorithm's name in a field; each has an expiry
-- Cost     for each bucket the cost of its algorithm, and O(1) for each part of each request

-- Each key expires at least this long after its state is needed, so a rounded expiry is never too early.
local MARGIN_MS = 1000

-- The maximum cost of a request against a sliding-window log. A log has one entry for each unit, so a large cost would
-- block Redis.
local MAX_LOG_COST = 10000

local call, floor, max, min = redis.call, math.floor, math.max, math.min
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

-- Formats an integer with all of its digits. Lua's default format has only 14 significant digits, and times have 16.
local function whole(number)
  return string.format('%.0f', number)
end

-- Returns the expiry in milliseconds of a key whose state is needed for `micros` microseconds.
local function lifetime(micros)
  return math.ceil(micros / 1000) + MARGIN_MS
end

-- The expiries in milliseconds, by key. They are set at the end of the script. On most Redis servers the time does not
-- change while a script runs. PEXPIRE adds the duration to that time, so all expiries are set together.
local expiries = {}

local function expire_after(key, micros)
  expiries[key] = lifetime(micros)
end

-- Runs a command, and returns nil if the key has another type. Raises all other errors.
local function call_typed(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then
    return reply
  end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    return nil
  end
  error(reply)
end

-- Reads fields of a hash as numbers. A missing field is 0. Returns nil if another algorithm or application wrote the
-- key.
local function read_numbers(key, algorithm, ...)
  local fields = call_typed('HMGET', key, 'algorithm', ...)
  if not fields or (fields[1] or algorithm) ~= algorithm then
    return nil
  end
  if not fields[1] and call('TYPE', key).ok ~= 'none' then
    -- Another application wrote this hash.
    return nil
  end
  local numbers = {}
  for i = 2, #fields do
    local number = tonumber(fields[i])
    -- This script writes only integers from 0 to 2^53 - 1, which are exact in Lua. Ignore other values.
    local is_valid = number and number >= 0 and number < 9007199254740992
    numbers[i - 1] = is_valid and number or 0
  end
  return numbers
end

local function write_numbers(key, algorithm, ...)
  local fields = { ... }
  for i = 2, #fields, 2 do
    fields[i] = whole(fields[i])
  end
  call('HSET', key, 'algorithm', algorithm, unpack(fields))
end

-- The algorithms by name. Each value is a function that returns a table of operations. The operations must give the
-- same results as the Rust files. A bucket is a table with its `key`, its `quota` and the state of the algorithm.
--   new(key, quota)           returns an empty bucket
--   load(bucket)              reads the state at `now`; returns false if another algorithm or application wrote the key
--   empty(bucket)             sets the empty state
--   used(bucket)              returns the number of units that count
--   wait_for(bucket, n)       returns the microseconds until n more units fit
--   add(bucket, n)            adds n units, only to the table
--   save(bucket)              writes the state with the added units. For an algorithm that has to find the units of a
--                             request again, `bucket.converted` is the number of units from another algorithm, and
--                             `bucket.additions` has the id and the number of units of each request in turn
--   refresh_expiry(bucket)    instead of save: extends the expiry; writes the state if the clock was set back
--   reset(bucket)             removes all units; called only if this algorithm wrote the key
--   refund(bucket, n, by, at) removes up to n units that request `by` took at time `at`, if they still count
local algorithms = {}

