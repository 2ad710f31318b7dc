-- Decides one request by the algorithm that its quota names, and counts it if it is admitted.
--
-- This script is put together of begin.lua, a file for each algorithm, and decide.lua.
--
-- KEYS[1]  what is counted
-- ARGV[1]  the algorithm
-- ARGV[2]  a name that no other request has
-- ARGV[3]  window: microseconds
-- ARGV[4]  capacity: requests at once
-- ARGV[5]  of a token bucket, the units of a token
-- ARGV[6]  of a token bucket, the units that come back in a microsecond
--
-- Reply    { admitted (1 or 0), remaining, microseconds to reset, microseconds to retry (0 if admitted) }
-- Writes   nothing when the request is denied, unless the clock was set back or the quota changed since the last
-- Keys     a sorted set for the log, else a hash, of which a field names the algorithm; each has an expiry

local key, member = KEYS[1], ARGV[2]
local window, capacity = tonumber(ARGV[3]), tonumber(ARGV[4])
local units, refill = tonumber(ARGV[5]), tonumber(ARGV[6])

-- A key outlives what it counts by this, so that it can't go before it.
local MARGIN_MS = 1000

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- In full: Lua's own way of writing a number keeps 14 digits of the 16.
local function whole(number)
  return string.format('%.0f', number)
end

local function expire_after(micros)
  redis.call('PEXPIRE', key, whole(math.ceil(micros / 1000) + MARGIN_MS))
end

-- The reply of a reading command, or nil if the key is of another kind.
local function read(...)
  local reply = redis.pcall(...)
  if not reply.err then
    return reply
  end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    return nil
  end
  -- Whatever it is, the caller is to know it as it is.
  return redis.call(...)
end

-- The named fields of the hash as numbers, 0 for those that are not there, or nil if the key is of another kind.
local function read_numbers(algorithm, ...)
  local fields = read('HMGET', key, 'algorithm', ...)
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

local function write_numbers(algorithm, ...)
  local fields = { ... }
  for place = 2, #fields, 2 do
    fields[place] = whole(fields[place])
  end
  redis.call('HSET', key, 'algorithm', algorithm, unpack(fields))
end

-- By name, what makes an algorithm's steps; made only when they are used. They are those of the Rust form:
--   load()                   the state now, or nil if the key is of another kind
--   empty()                  a state in which nothing counts
--   used(state)              how many requests count
--   until_room(state, n)     microseconds until n more have room
--   add(state, n)            counts n more, in the state alone
--   save(state)              writes the state with what was added
--   keep(state)              on a denial, writes what has to be written
local algorithms = {}

