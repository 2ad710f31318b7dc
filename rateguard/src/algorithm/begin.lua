-- Does one operation on one or several buckets, each by the algorithm that its quota names.
--
-- This script is put together of begin.lua, a file for each algorithm, and decide.lua.
--
-- KEYS[i]  what is counted
-- ARGV[1]  the operation: check, peek, charge, refund or reset
-- ARGV[2]  a name that no other call has
-- ARGV[3]  microseconds since 1970, after which nobody waits for the answer any more; 0 if that is not known
-- and for each key
--   the algorithm
--   window: microseconds
--   capacity: units at once
--   of a token bucket, the units of a token
--   of a token bucket, the units that come back in a microsecond
--   cost: how many units are asked for or, of a refund, given back; below 0, so many have to have room, and none is taken
--   of a refund, the name of the call that took them
--   of a refund, when it took them
--
-- Reply    { admitted (1 or 0), now, and for each key:
--            remaining, microseconds to reset, microseconds until the cost has room (-1 if never) },
--          or if it comes too late { -1, now }, and nothing was done
-- Writes   nothing when it denies or peeks, unless the clock was set back or, on a denial, the quota changed
-- Keys     a sorted set for the log, else a hash, of which a field names the algorithm; each has an expiry
-- Costs    what the algorithms say, for each key

local PER_KEY = 8

-- A key outlives what it counts by this, so that it can't go before it.
local MARGIN_MS = 1000

-- No call costs more than this under sliding_window, which keeps an entry for each unit.
local MAX_LOG_COST = 10000

local HEAD = 3

local operation, call, latest = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- Whoever asked has given up, and what nobody waits for is not to be counted.
if latest > 0 and now > latest then
  return { -1, now }
end

-- In full: Lua's own way of writing a number keeps 14 digits of the 16.
local function whole(number)
  return string.format('%.0f', number)
end

-- By key, in how many milliseconds it is to go. That is the last that is done to a key: to most servers it stays as late as
-- it was when the script began. If the clock is set back just then, a key that is to go by the new time is over by the old
-- one, and gone when it is touched again.
local expiries = {}

local function expire_after(key, micros)
  expiries[key] = whole(math.ceil(micros / 1000) + MARGIN_MS)
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
  return redis.call(...)
end

-- The named fields of the hash as numbers, 0 for those that are not there, or nil if the key is of another kind.
local function read_numbers(key, algorithm, ...)
  local fields = try('HMGET', key, 'algorithm', ...)
  if not fields or (fields[1] or algorithm) ~= algorithm then
    return nil
  end
  if not fields[1] and redis.call('TYPE', key).ok ~= 'none' then
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
  redis.call('HSET', key, 'algorithm', algorithm, unpack(fields))
end

-- By name, what makes an algorithm's steps for a charge; made only when they are used. They are those of the Rust form:
--   load()                     the state now, or nil if the key is of another kind
--   empty()                    a state in which nothing counts
--   used(state)                how many units count
--   until_room(state, n)       microseconds until n more have room
--   add(state, n)              counts n more, in the state alone
--   save(state)                writes the state with what was added
--   keep(state)                if nothing was added, writes what has to be written
--   reset()                    forgets what was counted; the key is there, and of this kind
--   give_back(n, call, at)     no longer counts n of what that call took then, as far as they still count
local algorithms = {}

