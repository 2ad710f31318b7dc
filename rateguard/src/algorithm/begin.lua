-- Decides one set of buckets after the other: does an operation on all buckets of a set, or, of a check that is denied, on
-- none. Each bucket is counted by the algorithm that its quota names.
--
-- This script is put together of begin.lua, a file for each algorithm, and decide.lua.
--
-- KEYS     what is counted: the keys of the first set, of the second, and so on; none is there twice
-- ARGV[1]  the process that asks
-- ARGV[2]  the number of the first who asks: each of a process has another
-- ARGV[3]  how the reply is told: `bytes`, eight of which are a number, or `numbers`
-- and for each group of sets that are asked for alike
--   the operation: check, peek, charge, refund or reset
--   microseconds since 1970, after which nobody waits for the answers any more; 0 if that is not known
--   how many keys a set has
--   how many sets there are
--   for each key of a set
--     the algorithm
--     window: microseconds
--     capacity: units at once
--     of a token bucket, the units of a token
--     of a token bucket, the units that come back in a microsecond
--     cost: how many units are asked for or, of a refund, given back; below 0, so many have to have room, and none is taken
--   how many ask for each set, with a comma after each number, or nothing if it is one for all. As many are admitted as there
--     is room for; above 1 only for a check of one key, of which they take units
--   of a refund, for each key of each set: `process-number` of who took them, and when
--
-- Reply    { now, and for each set:
--            how many are admitted, and for each key:
--              remaining, microseconds to reset, microseconds until the cost has room (-1 if never)
--            or if it comes too late -1, and nothing was done }
--          It ends where a set fails that is not the first: that has to be asked for once more, with all that follow.
-- Writes   nothing when it denies or peeks, unless the clock was set back or, on a denial, the quota changed
-- Keys     a string or a sorted set for the log, else a hash, of which a field names the algorithm; each has an expiry
-- Costs    what the algorithms say, for each key

-- A key outlives what it counts by this, so that it can't go before it.
local MARGIN_MS = 1000

-- No call costs more than this under a log, which keeps an entry for each unit.
local MAX_LOG_COST = 10000

local call, floor, max, min = redis.call, math.floor, math.max, math.min
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

-- In full: Lua's own way of writing a number keeps 14 digits of the 16.
local function whole(number)
  return string.format('%.0f', number)
end

-- For how many milliseconds a key is to be kept that counts for so long.
local function lifetime(micros)
  return math.ceil(micros / 1000) + MARGIN_MS
end

-- Of the keys of a set, in how many milliseconds each is to go. That is the last that is done to a key: to most servers it
-- stays as late as it was when the script began. If the clock is set back just then, a key that is to go by the new time is
-- over by the old one, and gone when it is touched again.
local expiries = {}

local function expire_after(key, micros)
  expiries[key] = lifetime(micros)
end

-- The reply of a command, or nil if the key is of another kind.
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then
    return reply
  end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    return nil
  end
  -- Whatever it is, the caller is to know it as it is.
  return call(...)
end

-- The named fields of the hash as numbers, 0 for those that are not there, or nil if the key is of another kind.
local function read_numbers(key, algorithm, ...)
  local fields = try('HMGET', key, 'algorithm', ...)
  if not fields or (fields[1] or algorithm) ~= algorithm then
    return nil
  end
  if not fields[1] and call('TYPE', key).ok ~= 'none' then
    -- A hash of somebody else's.
    return nil
  end
  local numbers = {}
  for place = 2, #fields do
    local number = tonumber(fields[place])
    -- Nothing else was ever written.
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

-- By name, what makes the steps of an algorithm. They are those of the Rust form, for a bucket, which is a table of its
-- `key`, its `quota` and the algorithm's own state:
--   new(key, quota, number)        a bucket in which nothing counts, for that set
--   load(bucket)                   reads the state as it is now; false if the key is of another kind
--   empty(bucket)                  a state in which nothing counts
--   used(bucket)                   how many units count
--   until_room(bucket, n)          microseconds until n more have room
--   add(bucket, n)                 counts n more, in the state alone
--   save(bucket)                   writes the state with what was added
--   keep(bucket)                   if nothing was added, writes what has to be written
--   reset(bucket)                  forgets what was counted; the key is there, and of this kind
--   give_back(bucket, n, call, at) no longer counts n of what that call took then, as far as they still count
local algorithms = {}

