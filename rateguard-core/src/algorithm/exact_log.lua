-- Defines the operations that sliding_window and sliding_window_sorted_set share. Each of the two algorithms has its
-- own code to read and to write the entries of its log.
--
-- The buckets of both algorithms have these fields:
--   newest   the time of the newest unit in Redis; 0 if there is none
--   live     the number of live units: `stored` plus `added`
--   stored   the number of live units in Redis; they are the newest units in the log
--   added    the number of units that this script call adds
--   times    a cache of the times that `cached_time` has read

-- Returns the time of the n-th unit in Redis. The newest unit has the number 1. The script calls `read_time` at most
-- once for each unit, because many requests of a batch may wait until the same unit expires.
local function cached_time(bucket, n, read_time)
  local times = bucket.times
  if not times then
    times = {}
    bucket.times = times
  end
  local time = times[n]
  if not time then
    time = read_time(bucket, n)
    times[n] = time
  end
  return time
end

-- Sets a later expiry if the current expiry is too early. The current expiry may have been set for a shorter window.
local function extend_expiry(bucket)
  if bucket.live > 0 then
    local needed = bucket.newest + bucket.quota.window - now
    if call('PTTL', bucket.key) * 1000 < needed then
      expire_after(bucket.key, needed)
    end
  end
end

-- Returns a table with the shared operations. `time_of(bucket, n)` must return the time of the n-th unit in Redis.
-- The newest unit has the number 1.
local function exact_log(time_of)
  return {
    used = function(bucket)
      return bucket.live
    end,

    wait_for = function(bucket, units)
      -- The request fits after the oldest `excess` units have expired. `excess` is larger than `units` only in two
      -- cases: the limit was lowered, or a debit took units beyond the capacity.
      local excess = bucket.live + units - bucket.quota.capacity
      if excess <= 0 then
        return 0
      end
      if excess > bucket.stored then
        -- The last of the excess units was added in this batch, so it expires one window from now.
        return bucket.quota.window
      end
      return time_of(bucket, bucket.stored - excess + 1) + bucket.quota.window - now
    end,

    add = function(bucket, units)
      bucket.live = bucket.live + units
      bucket.added = bucket.added + units
    end,

    reset = function(bucket)
      call('DEL', bucket.key)
    end,
  }
end

