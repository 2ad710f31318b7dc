-- Decides a batch of requests in one atomic step.
--
-- Each bucket is loaded once and saved once, even if many requests use it. It is loaded again for a request with another quota for
-- the key, and for resets and refunds, which act on the key itself. Requests are decided in order, each as if it were a call
-- of its own. A check takes from all of its buckets or from none.
--
-- The script consists of prelude.lua, a file for each algorithm, and main.lua.
--
-- KEYS     the buckets of the batch, each once
-- ARGV[1]  the id of the process that sends the batch
-- ARGV[2]  the id of the first request; the ids of the others follow it one by one
-- ARGV[3]  the encoding of the reply: `bytes`, eight for each number in big-endian order, or `numbers`
-- ARGV[4]  `mixed` if requests have different quotas for one key, or there are refunds or resets; else empty
-- ARGV[5]  the number of quotas, and for each of them
--            the algorithm
--            the window in microseconds
--            the capacity in units
--            the units of a token, for a token bucket
--            the units that come back in a microsecond, for a token bucket
-- then     the number of shapes, and for each of them (a shape is what many requests have in common)
--            the operation: check, peek, charge, refund or reset
--            the deadline in microseconds since 1970 by this server's clock; 0 if it is not known
--            the number of parts, one for each bucket of such a request, and for each of them
--              its quota, by its position in the list of quotas
--              its cost in units; below 0 the bucket must have room for so many, and none is taken
-- then     the requests, as decimal numbers separated by other characters: for each request its shape, and for each part its bucket,
--          both by their positions, counted from 1. An empty text is one request of the first shape for each key
-- then     for each part of each refund: the id `process-request` of the request that took the units, and when it did
--
-- Reply    { now, and for each request its status:
--            1 (admitted) or 0 (denied), and for each part
--              remaining units, microseconds until one more unit remains (0 if all do), microseconds until the cost has
--              room (-1 if it never has)
--            -1: the deadline had passed, nothing was done
--            -2, -3, …: the first, second, … error text says why nothing was done }
--          If there are error texts, an array of that reply and the texts. With `numbers`, one bucket that fails fails the
--          whole call, and the error is the reply.
-- Writes   nothing for denials and peeks, unless the clock was set back or, for a denial, the quota changed
-- Keys     a string or a sorted set for a log, else a hash with the name of the algorithm in a field; each has an expiry
-- Cost     what the algorithms say for each bucket, and O(1) for each part of each request

-- A key lives at least this much longer than the state that it holds.
local MARGIN_MS = 1000

-- No request may cost more than this under a log, which has an entry for each unit.
local MAX_LOG_COST = 10000

local call, floor, max, min = redis.call, math.floor, math.max, math.min
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

-- The digits of an integer: by default Lua writes 14 of the 16.
local function whole(number)
  return string.format('%.0f', number)
end

-- The expiry in milliseconds of a state that is needed for so many microseconds.
local function lifetime(micros)
  return math.ceil(micros / 1000) + MARGIN_MS
end

-- By key, its expiry in milliseconds. It is set at the end of the script: on most servers the time stands still while a script
-- runs, so if the clock is set back just then, an expiry that was set earlier would lie in the past.
local expiries = {}

local function expire_after(key, micros)
  expiries[key] = lifetime(micros)
end

-- The reply of a command, or nil if the key is of another type. Other errors are raised.
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then
    return reply
  end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    return nil
  end
  error(reply)
end

-- The named fields of the hash as numbers, 0 for those that are missing, or nil if the key does not belong to this algorithm.
local function read_numbers(key, algorithm, ...)
  local fields = try('HMGET', key, 'algorithm', ...)
  if not fields or (fields[1] or algorithm) ~= algorithm then
    return nil
  end
  if not fields[1] and call('TYPE', key).ok ~= 'none' then
    -- A hash of another application.
    return nil
  end
  local numbers = {}
  for place = 2, #fields do
    local number = tonumber(fields[place])
    -- Values that this script cannot have written are ignored.
    local is_whole = number and number >= 0 and number < 9007199254740992
    numbers[place - 1] = is_whole and number or 0
  end
  return numbers
end

local function write_numbers(key, algorithm, ...)
  local fields = { ... }
  for place = 2, #fields, 2 do
    fields[place] = whole(fields[place])
  end
  call('HSET', key, 'algorithm', algorithm, unpack(fields))
end

-- By name, a function that makes the operations of an algorithm. They match the Rust implementation. A bucket is a table of its
-- `key`, its `quota` and the algorithm's own state:
--   new(key, quota)                an empty bucket
--   load(bucket)                   reads the state at `now`; false if the key does not belong to this algorithm
--   empty(bucket)                  sets the empty state
--   used(bucket)                   the units in use
--   until_room(bucket, n)          microseconds until n more have room
--   add(bucket, n, id)             adds n units for the request of this id, without writing them
--   save(bucket)                   writes the state with what was added
--   keep(bucket)                   extends the expiry and writes a correction of the clock, if nothing was added
--   reset(bucket)                  writes the empty state; the key exists and belongs to this algorithm
--   give_back(bucket, n, by, at)   removes up to n units that the request `by` took at that time, as far as they are in use
local algorithms = {}

