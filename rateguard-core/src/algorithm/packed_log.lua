-- Reads and writes packed logs. A packed log is the state of the algorithm sliding_window.
--
-- The log is a string in Redis. Each admitted unit is an entry of 13 bytes. The oldest entry is the first one.
--   7 bytes  the time of the server in microseconds
--   4 bytes  the number of live units, including this unit
--   2 bytes  the class of the window (see `prepare_log`)
-- The script reads the number and the class only in the newest entry, so both may be 0 in the other entries. A unit
-- that is taken at t counts during [t, t + window). The script removes the expired entries at the start of a log only
-- from time to time. After a refund, a long log may end with void entries, which have no meaning. The last void
-- entry has the time 0. It has the number of void entries in place of the number of live units, so the script can
-- find the newest valid entry.

local FORMAT, ENTRY = '>I7I4I2', 13
-- The script loads at least this number of the newest entries with its first command for a bucket. They have more bytes
-- than the record of any other algorithm, so the script reads the whole record, and its length is not the length of a log.
-- Only token_bucket_leases has longer records, which do not end like a log.
local TAIL_ENTRIES = 4

-- The entries that the script has read last, apart from the tails: the bucket, the numbers of the oldest and of the
-- newest entry, and the entries.
local chunk_bucket, chunk_first, chunk_last, chunk

-- The numbers and the offsets of the entries that the script has read last. If many keys of a batch have full logs,
-- the script reads the same entries of each of them.
local range_first, range_last, range_from, range_to

-- Computes the fields of a quota that do not depend on the bucket:
--   class           the class of the window. A class is a range of durations that differ by at most about 1 %, and no
--                   window has the class 0
--   lifetime        the microseconds for which a log must live after a unit is taken. This is 4 % more than the window, so
--                   the script does not have to set the expiry again for each request
--   interval_start  the start of the current time interval. The script sets the expiry only once in each interval.
--                   The intervals are so short that this expiry is late enough for the whole interval
--   tail_offset     the offset of the tail that the script loads, as a text, because Redis would first have to
--                   convert a number to a text
local function prepare_log(quota)
  local window, capacity = quota.window, quota.capacity
  local class = 1 + floor(math.log(window) * 100)
  local interval = max(math.exp((class - 1) / 100) * 0.02, 400000)
  quota.class, quota.lifetime, quota.interval_start = class, window * 1.04, floor(now / interval) * interval
  -- For limits up to 32, load all live entries, because a second command takes as long as to read 32 entries more.
  local tail_entries = capacity <= 32 and max(capacity, TAIL_ENTRIES) or TAIL_ENTRIES
  quota.tail_offset = string.format('%d', -ENTRY * tail_entries)
end

-- Reads the entries with the numbers `first` to `last` from Redis. The newest entry has the number 1, so `first` is
-- at least `last`.
local function entries(bucket, first, last)
  local void = bucket.void or 0
  first, last = first + void, last + void - 1
  if first ~= range_first or last ~= range_last then
    -- Redis would take longer to convert the numbers to texts.
    range_first, range_last = first, last
    range_from, range_to = string.format('%d', -ENTRY * first), string.format('%d', -ENTRY * last - 1)
  end
  return call('GETRANGE', bucket.key, range_from, range_to)
end

-- Returns the time of the n-th unit in Redis. The newest unit has the number 1.
local function time_of(bucket, n)
  local tail = bucket.tail
  local offset = #tail - ENTRY * n
  if offset >= 0 then
    return (decode('>I7', tail, offset + 1))
  end
  if chunk_bucket ~= bucket or n > chunk_first or n < chunk_last then
    -- Also read the three entries that follow. The script needs them if this entry has expired.
    chunk_bucket, chunk_first, chunk_last = bucket, n, max(1, n - 3)
    chunk = entries(bucket, chunk_first, chunk_last)
  end
  if #chunk < ENTRY * (chunk_first - chunk_last + 1) then
    -- The log has fewer entries.
    return 0
  end
  return (decode('>I7', chunk, ENTRY * (chunk_first - n) + 1))
end

-- Returns how many of the newest `high` units have a later time than `time`. The caller guarantees that at least
-- `low` of these units have a later time.
local function count_after(bucket, time, low, high)
  if high > low and time_of(bucket, high) > time then
    return high
  end
  -- Usually, most of the units have a later time than `time`. Search from the oldest unit, and double the distance
  -- with each step. Then use a binary search in the remaining range.
  local step = 1
  while high - step > low and time_of(bucket, high - step) <= time do
    high, step = high - step, step * 2
  end
  low = max(low, high - step)
  while high - low > 1 do
    local middle = floor((low + high) / 2)
    if time_of(bucket, middle) > time then
      low = middle
    else
      high = middle
    end
  end
  return low
end

-- Returns the number of live units of a log and the time of the oldest live unit. `counted` units were live when the newest
-- unit was taken, and the newest unit is live.
local function live_units(bucket, counted)
  local cutoff = now - bucket.quota.window
  local oldest = time_of(bucket, counted)
  if oldest <= cutoff then
    counted = count_after(bucket, cutoff, 1, counted)
    oldest = time_of(bucket, counted)
  end
  return counted, oldest
end

-- Adds units to a log in which `stored` units are live. If Redis rejects a command, returns the error, and the log has no
-- new units.
local function add_units(bucket, stored, added)
  local key, quota, used, void = bucket.key, bucket.quota, stored + added, bucket.void or 0
  local run = redis.pcall
  local new = encode(FORMAT, now, used, quota.class)
  if added > 1 then
    new = string.rep(encode(FORMAT, now, 0, 0), added - 1) .. new
  end
  if stored == 0 then
    local reply = run('SET', key, new, 'PX', lifetime(quota.lifetime))
    expiries[key] = nil
    return reply.err and reply
  end
  local length
  if void == 0 then
    -- This takes a third of the time that Redis needs to write the whole log with its expiry.
    length = run('APPEND', key, new)
  else
    -- The new entries replace the oldest void entries.
    length = run('SETRANGE', key, redis.call('STRLEN', key) - ENTRY * void, new)
  end
  if type(length) == 'table' then
    return length
  end
  if void > 0 then
    void = max(0, void - added)
    bucket.void = void
    if void > 0 then
      redis.call('SETRANGE', key, length - ENTRY, encode(FORMAT, 0, void, 0))
    end
  end
  if bucket.class ~= quota.class or bucket.newest < quota.interval_start then
    -- Set the expiry after the other commands. If the clock is set back during the script, some versions of Redis set the
    -- expiry by the new time, and until the end of the script they use the old time to decide whether the key has expired.
    local reply = run('PEXPIRE', key, lifetime(quota.lifetime))
    if type(reply) == 'table' then
      -- Make the new entries void.
      run('SETRANGE', key, length - ENTRY, encode(FORMAT, 0, void + added, 0))
      return reply
    end
    expiries[key] = nil
  end
  -- To remove expired entries, the script must rewrite the log. It therefore removes them only when there are more than 8,
  -- plus an eighth of the number of live entries. The new units are in Redis already, so this command must not fail the
  -- request. If Redis rejects it, a later request removes the entries.
  if length > ENTRY * (used + used / 8 + 8) then
    run('SET', key, entries(bucket, used, 1), 'PX', lifetime(quota.lifetime))
  end
end

