-- Decides a batch of requests atomically: Redis runs no other command while the script runs.
--
-- The script decides the requests in order. Each decision is the same as if the request had its own script call. A
-- check takes units from all of its buckets, or from none of them. The script loads and saves each bucket once, even
-- if many requests use the bucket. It loads a bucket again only in two cases: a request has a different quota than
-- the last request for the same key, or a request resets, refunds, renews or returns units of the bucket.
--
-- The source of the script is the concatenation of prelude.lua, packed_log.lua, unit_checks.lua, exact_log.lua, one
-- file for each algorithm, arguments.lua, main.lua and recovery.lua. Most calls end in unit_checks.lua, so the other
-- files cost them nothing.
--
-- KEYS     the keys of the buckets; each key is listed once
-- ARGV[1]  the id of the process that sends the batch
-- ARGV[2]  the id of the first request; the id of each further request is larger by 1
-- ARGV[3]  the encoding of the reply: `bytes` (8 bytes for each number, big-endian) or `numbers`
-- ARGV[4]  `mixed` if requests have different quotas for one key, or if there are refunds, renewals, returns of
--          leases or resets; otherwise empty
-- ARGV[5]  the number of quotas; then for each quota
--            the name of the algorithm
--            the window in microseconds
--            the capacity in units
--            for a token bucket: the number of fractions of one token; for sliding_window_sorted_set: the duration of a
--              lease in microseconds, or 0 if there are no leases
--            for a token bucket: the refill in fractions per microsecond
--            only for token_bucket_leases: the duration of a lease in microseconds
--            only for calendar: the starts of three successive periods and the end of the last of them, in microseconds
--              since 1970 on the clock of this server; the client expects that `now` is in the second period
-- then     the number of shapes (a shape is the common part of similar requests); then for each shape
--            the operation: check, peek, debit, lease (a check that takes the units for a lease), refund, renew, return (of
--              the units of a lease) or reset
--            the deadline in microseconds since 1970 on the clock of this server; 0 if the client has no estimate of
--              this clock
--            the number of parts; each request of this shape has one part for each of its buckets; then for each part
--              the position of the quota in the list of quotas
--              the cost in units; a negative cost -n means that n units must fit, but the script takes no units
-- then     the list of requests, one argument that contains decimal numbers: for each request the position of its
--          shape, and then for each part the position of its key in KEYS. Positions start at 1. If the argument is
--          empty, there is one request of the first shape for each key
-- then     for each part of each refund, of each renewal and of each return two arguments: the id `process-request` of the
--          request that took the units, and the time at which it took them. For a return, decimal numbers follow the time
--          in the same argument: for each unit of the lease, an upper bound of the time of its use, in microseconds after
--          the grant of the lease; 0 if the unit was not used
--
-- Reply    the time `now`, and then for each request one of these results:
--            1 (admitted, or all permits renewed) or 0 (denied, or no permit renewed, because one of them has expired);
--              then for each part three numbers: the remaining units, the microseconds until
--              one more unit remains (0 if all units remain), and the microseconds until the cost fits (-1 if the cost
--              never fits)
--            -1: the deadline had expired, or `now` is in none of the calendar periods of a quota, so the script did
--              not execute the request
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

-- Returns the expiry in milliseconds for a key whose state is needed for another `micros` microseconds. The expiry is a
-- text, because Redis would take longer to convert the number.
local function lifetime(micros)
  return string.format('%.0f', ceil(micros / 1000) + MARGIN_MS)
end

-- Maps each key to its new expiry in milliseconds. The script sets all expiries at its end. On most Redis servers,
-- the time does not change while a script runs, and PEXPIRE adds the duration to this time, so it makes no difference
-- at which point of the script an expiry is set.
local expiries = {}

-- Encodes numbers with 8 bytes each, big-endian.
local function encode_bytes(numbers, length)
  local bytes = ''
  -- Encode at most 1,000 numbers at a time, because `unpack` in Lua can return only a few thousand values.
  for first = 1, length, 1000 do
    local last = min(first + 999, length)
    bytes = bytes .. encode('>' .. string.rep('i8', last - first + 1), unpack(numbers, first, last))
  end
  return bytes
end

