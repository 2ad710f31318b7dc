-- Defines the operations that sliding_window and sliding_window_sorted_set share. Each of the two algorithms has its
-- own code to read and to write the entries of its log.
--
-- The buckets of both algorithms have these fields:
--   newest   the time of the newest unit in Redis; 0 if there is none
--   oldest   the time of the oldest live unit in Redis; nil or false if there is none, or if the script has not read it
-- All other live units are newer than the units in Redis: this script call adds them.

-- Sets a later expiry if the current expiry is too early. The current expiry may have been set for a shorter window.
local function extend_expiry(bucket)
  if bucket.used > 0 then
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
    wait_for = function(bucket, units)
      local quota = bucket.quota
      -- The request fits after the oldest `excess` units have expired. `excess` is larger than `units` only in two
      -- cases: the limit was lowered, or a debit took units beyond the capacity.
      local excess = bucket.used + units - quota.capacity
      if excess <= 0 then
        return 0
      end
      local oldest = bucket.oldest
      if excess == 1 and oldest then
        return oldest + quota.window - now
      end
      local stored = bucket.used - (bucket.taken or 0) - (bucket.converted or 0)
      if excess > stored then
        -- The last of the excess units was added in this batch, so it expires one window from now.
        return quota.window
      end
      return time_of(bucket, stored - excess + 1) + quota.window - now
    end,

    reset = function(bucket)
      call('DEL', bucket.key)
    end,
  }
end

