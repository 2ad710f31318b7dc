-- Decides a batch of requests atomically: Redis runs no other command while the script runs.
--
-- The script decides the requests in order. Each decision is the same as if the request had its own script call. A
-- check takes units from all of its buckets, or from none of them. The script loads and saves each bucket once, even
-- if many requests use the bucket. It loads a bucket again only in two cases: a request has a different quota than
-- the last request for the same key, or a request resets or refunds the bucket.
--
-- The source of the script is the concatenation of prelude.lua, exact_log.lua, one file for each algorithm,
-- arguments.lua, main.lua and recovery.lua.
--
-- KEYS     the keys of the buckets; each key is listed once
-- ARGV[1]  the id of the process that sends the batch
-- ARGV[2]  the id of the first request; the id of each further request is larger by 1
-- ARGV[3]  the encoding of the reply: `bytes` (8 bytes for each number, big-endian) or `numbers`
-- ARGV[4]  `mixed` if requests have different quotas for one key, or if there are refunds or resets; otherwise empty
-- ARGV[5]  the number of quotas; then for each quota
--            the name of the algorithm
--            the window in microseconds
--            the capacity in units
--            for a token bucket: the number of fractions of one token
--            for a token bucket: the refill in fractions per microsecond
-- then     the number of shapes (a shape is the common part of similar requests); then for each shape
--            the operation: check, peek, debit, refund or reset
--            the deadline in microseconds since 1970 on the clock of this server; 0 if the client has no estimate of
--              this clock
--            the number of parts; each request of this shape has one part for each of its buckets; then for each part
--              the position of the quota in the list of quotas
--              the cost in units; a negative cost -n means that n units must fit, but the script takes no units
-- then     the list of requests, one argument that contains decimal numbers: for each request the position of its
--          shape, and then for each part the position of its key in KEYS. Positions start at 1. If the argument is
--          empty, there is one request of the first shape for each key
-- then     for each part of each refund two arguments: the id `process-request` of the request that took the units, and
--          the time at which it took them
--
-- Reply    the time `now`, and then for each request one of these results:
--            1 (admitted) or 0 (denied); then for each part three numbers: the remaining units, the microseconds until
--              one more unit remains (0 if all units remain), and the microseconds until the cost fits (-1 if the cost
--              never fits)
--            -1: the deadline had expired, so the script did not execute the request
--            -2, -3, …: the script did not execute the request because of the first, second, … error text
--          If there are error texts, the reply is an array of these numbers and the texts. With the encoding
--          `numbers`, an error for one bucket fails the whole call, and the reply is this error.
-- Writes   For denials and peeks the script writes no key. There are two exceptions: the clock was set back, or the
--          quota of a denied request has changed.
-- Keys     A log is a string or a sorted set. The state of any other algorithm is a string of a fixed length. Each key
--          has an expiry.
-- Cost     For each bucket the cost of its algorithm, and O(1) for each part of each request.

-- Each key stays in Redis for at least this time after its state is no longer needed. If an expiry is rounded down, the
-- key therefore still does not expire too early.
local MARGIN_MS = 1000

-- The maximum cost of a request for a sliding-window log. A log has one entry for each unit, so a request with a
-- larger cost would block Redis for too long.
local MAX_LOG_COST = 10000

local call, ceil, floor, max, min = redis.call, math.ceil, math.floor, math.max, math.min
local encode, decode = struct.pack, struct.unpack
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

-- Formats an integer with all of its digits. The default format of Lua has only 14 significant digits, but a time in
-- microseconds has 16.
local function whole(number)
  return string.format('%.0f', number)
end

-- Returns the expiry in milliseconds for a key whose state is needed for another `micros` microseconds.
local function lifetime(micros)
  return ceil(micros / 1000) + MARGIN_MS
end

-- Maps each key to its new expiry in milliseconds. The script sets all expiries at its end. On most Redis servers,
-- the time does not change while a script runs, and PEXPIRE adds the duration to this time, so it makes no difference
-- at which point of the script an expiry is set.
local expiries = {}

local function expire_after(key, micros)
  expiries[key] = lifetime(micros)
end

-- Returns the reply of a command that was run with `redis.pcall`. Returns nil if the key has a type for which the
-- command does not work. Raises every other error.
local function typed(reply)
  if type(reply) ~= 'table' or not reply.err then
    return reply
  end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    return nil
  end
  error(reply)
end

-- Writes a string with its expiry, instead of any other value of the key. Removes the key from `expiries`, so that the
-- script does not set another expiry at its end.
local function write(key, bytes, micros)
  call('SET', key, bytes, 'PX', whole(lifetime(micros)))
  expiries[key] = nil
end

-- An algorithm without a log stores a record: a string with a fixed number of bytes. The first byte is the tag of the
-- algorithm. No UTF-8 text contains any of these tags, and no log begins with one of them. Each of the other numbers
-- has 7 bytes, because the script uses only integers from 0 to 2^53 - 1, which Lua represents exactly.

-- Reads a record. Returns an empty string if the key does not exist, and nil if another algorithm or another
-- application wrote the key.
local function read_record(key, tag, size)
  -- No record has more than 43 bytes.
  local record = typed(redis.pcall('GETRANGE', key, '0', '43'))
  if record == '' or record and #record == size and string.byte(record) == tag then
    return record
  end
end

-- Writes a record over the previous record of the key. This does not change the expiry of the key, and takes half of
-- the time that Redis needs to write a string with an expiry.
local function overwrite(key, record)
  call('SETRANGE', key, '0', record)
end

-- Maps the name of each algorithm to a function that returns a table of operations. An operation must give the same
-- result as the Rust code of the algorithm. A bucket is a table. Its fields are the state of the algorithm, and these:
--   key        the key in Redis
--   quota      the quota, from the arguments of the script
--   used       the number of units that count
--   taken      the number of units that this script call has taken; false if it has only read the bucket
--   converted  the number of units that come from the state of another algorithm; nil if there are none
--   is_stale   whether `refresh` must be called if this script call takes no units
-- The operations:
--   load(key, quota)          reads the state, updates it to the time `now`, and returns the bucket; returns nil if
--                             another algorithm or another application wrote the key
--   new(key, quota, n)        returns a bucket with n units that were taken now
--   wait_for(bucket, n)       returns the microseconds until n more units fit
--   add(bucket, n, id)        is called after the request with this id has added n units to `used`; updates the other
--                             fields, but does not write to Redis; nil if the algorithm has no fields to update
--   save(bucket)              writes the state with the added units to Redis
--   refresh(bucket)           is called instead of save if the bucket is stale and no units were added; sets a later
--                             expiry if necessary, and writes the state if the clock or the quota has changed
--   reset(bucket)             removes all units; is called only if this algorithm wrote the key
--   refund(bucket, n, by, at) removes up to n units that the request with the id `by` took at time `at`; removes
--                             nothing if these units no longer count
local algorithms = {}

