-- sliding_window: the exact algorithm. It admits at most `limit` units in any interval that is as long as the window.
--
-- The log is a string in Redis. Each admitted unit is an entry of 13 bytes. The oldest entry is the first one.
--   7 bytes  the time of the server in microseconds
--   4 bytes  the number of live units, including this unit
--   2 bytes  the class of the window (see `class_of`)
-- The script reads the number and the class only in the newest entry, so both may be 0 in the other entries. A unit
-- that is taken at t counts during [t, t + window). The script removes the expired entries at the start of a long log
-- only from time to time. After a refund, a long log may end with void entries, which have no meaning. The last void
-- entry has the time 0. It has the number of void entries in place of the number of live units, so the script can
-- find the newest valid entry.
--
-- The cost is O(1) for each unit. If many of the n units in the log have expired since the last request, the script
-- also needs O(log n) to find the oldest live unit. A refund moves at most 4,096 later entries. After the clock was set
-- back, the script rewrites the entries from the future.

function algorithms.sliding_window()
  local FORMAT, ENTRY = '>I7I4I2', 13
  -- The script loads the newest 32 entries with one GETRANGE, from this offset to the end of the string. The offset
  -- is a text, because Redis would first have to convert a number to a text.
  local TAIL_ENTRIES, TAIL_OFFSET = 32, '-416'
  -- If a log has at most this many live units, the script writes the whole log with SET. With APPEND, Redis would use
  -- twice the memory for the string.
  local MAX_REWRITTEN = 128
  -- The maximum number of entries that a refund moves. Redis needs at most about 0.1 ms to move this many entries.
  local MAX_MOVED = 4096

  local pack, entry_at, cut = struct.pack, struct.unpack, string.sub

  -- Returns the class of the quota's window. A class is a range of durations that differ by at most about 1 %, and no
  -- window has the class 0. The script sets each expiry for a window that is 4 % longer than the quota's window, so
  -- it does not have to set the expiry again for each request.
  local function class_of(quota)
    local class = quota.class or 1 + floor(math.log(quota.window) * 100)
    quota.class = class
    return class
  end

  local function extended(window)
    return window * 1.04
  end

  -- Returns the number of the time interval that contains `time`. The script sets the expiry only once in each
  -- interval. The intervals are so short that this expiry is late enough for the whole interval.
  local function interval(time, class)
    return floor(time / max(math.exp((class - 1) / 100) * 0.02, 400000))
  end

  -- Reads the entries with the numbers `first` to `last` from Redis. The newest entry has the number 1, so `first` is
  -- at least `last`.
  local function entries(bucket, first, last)
    local void = bucket.void
    return call('GETRANGE', bucket.key, -ENTRY * (first + void), -ENTRY * (last + void - 1) - 1)
  end

  -- Replaces the whole log in Redis, and sets its expiry. Removes the key from `expiries`, so that the script does
  -- not set another expiry at its end.
  local function write(bucket, log, millis)
    call('SET', bucket.key, log, 'PX', millis)
    expiries[bucket.key] = nil
  end

  -- Returns the expiry in milliseconds for a log to which a unit is added now.
  local function log_lifetime(quota)
    local millis = quota.log_lifetime or whole(lifetime(extended(quota.window)))
    quota.log_lifetime = millis
    return millis
  end

  local function read_time(bucket, n)
    local entry = entries(bucket, n, n)
    return #entry == ENTRY and (entry_at(FORMAT, entry)) or 0
  end

  -- Returns the time of the n-th unit in Redis. The newest unit has the number 1.
  local function time_of(bucket, n)
    local offset = #bucket.tail - ENTRY * n
    if offset >= 0 then
      return (entry_at(FORMAT, bucket.tail, offset + 1))
    end
    return cached_time(bucket, n, read_time)
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

  -- Sets the time of all entries from the future to `now`. Entries from the future exist only after the clock was set
  -- back. With their original times, they would count for longer than one window.
  local function clamp_future_entries(bucket, counted)
    local future = count_after(bucket, now, 1, counted)
    local moved = string.rep(pack(FORMAT, now, 0, 0), future - 1) .. pack(FORMAT, now, counted, 0)
    call('SETRANGE', bucket.key, call('STRLEN', bucket.key) - ENTRY * (future + bucket.void), moved)
    expire_after(bucket.key, extended(bucket.quota.window))
    bucket.tail, bucket.times = entries(bucket, TAIL_ENTRIES, 1), nil
  end

  local sliding_window = exact_log(time_of)

  function sliding_window.new(key, quota)
    return { key = key, quota = quota, tail = '', newest = 0, class = 0, live = 0, stored = 0, added = 0, void = 0 }
  end

  function sliding_window.load(bucket)
    local tail = call_typed('GETRANGE', bucket.key, TAIL_OFFSET, '-1')
    if tail == '' then
      return true
    end
    if not tail or #tail % ENTRY ~= 0 then
      return false
    end
    local cutoff = now - bucket.quota.window
    local newest, counted, class = entry_at(FORMAT, tail, #tail - ENTRY + 1)
    if newest == 0 and counted > 0 then
      bucket.void = counted
      tail = entries(bucket, TAIL_ENTRIES, 1)
      if tail == '' then
        return false
      end
      newest, counted, class = entry_at(FORMAT, tail, #tail - ENTRY + 1)
    end
    if counted == 0 or newest >= 9007199254740992 then
      -- The string is not a log, so another application wrote it.
      return false
    end
    bucket.tail = tail
    if newest > now then
      clamp_future_entries(bucket, counted)
      newest, class = now, 0
    end
    bucket.newest, bucket.class = newest, class
    if newest > cutoff then
      bucket.live = count_after(bucket, cutoff, 1, counted)
      bucket.stored = bucket.live
    end
    return true
  end

  function sliding_window.empty(bucket)
    bucket.tail, bucket.newest, bucket.class = '', 0, 0
    bucket.live, bucket.stored, bucket.added, bucket.void = 0, 0, 0, 0
  end

  function sliding_window.save(bucket)
    local key, window, live, added = bucket.key, bucket.quota.window, bucket.live, bucket.added
    local class = class_of(bucket.quota)
    local new = pack(FORMAT, now, live, class)
    if added > 1 then
      new = string.rep(pack(FORMAT, now, 0, 0), added - 1) .. new
    end
    local stored = live - added
    if live <= MAX_REWRITTEN then
      local previous = cut(bucket.tail, #bucket.tail - ENTRY * stored + 1)
      if stored > TAIL_ENTRIES then
        previous = entries(bucket, stored, 1)
      end
      write(bucket, previous .. new, log_lifetime(bucket.quota))
      return
    end
    local length
    if bucket.void == 0 then
      length = call('APPEND', key, new)
    else
      length = call('SETRANGE', key, call('STRLEN', key) - ENTRY * bucket.void, new)
      bucket.void = max(0, bucket.void - added)
      if bucket.void > 0 then
        call('SETRANGE', key, length - ENTRY, pack(FORMAT, 0, bucket.void, 0))
      end
    end
    -- To remove expired entries, the script must rewrite the log. It therefore removes them only when their number
    -- exceeds an eighth of the number of live entries.
    if length > ENTRY * (live + live / 8 + TAIL_ENTRIES) then
      write(bucket, entries(bucket, live, 1), log_lifetime(bucket.quota))
    elseif class ~= bucket.class or interval(now, class) ~= interval(bucket.newest, class) then
      expire_after(key, extended(window))
    end
  end

  function sliding_window.refresh_expiry(bucket)
    if bucket.class ~= class_of(bucket.quota) then
      extend_expiry(bucket)
    end
  end

  function sliding_window.refund(bucket, units, _, taken_at)
    local key, live = bucket.key, bucket.live
    local later = count_after(bucket, taken_at, 0, live)
    -- All units that were taken at the same time also expire together, so it does not matter which of them the script
    -- refunds.
    local refunded = min(units, count_after(bucket, taken_at - 1, later, live) - later)
    if refunded == 0 then
      return
    end
    if refunded == live then
      call('DEL', key)
      return
    end
    local tail = bucket.tail
    if later > MAX_MOVED then
      -- Too many entries were added after the refunded entries, so the script does not move them. It only writes a
      -- lower number of live units, which removes the oldest units instead of the refunded units. This admits no
      -- excess request, because each remaining unit expires later than the removed units.
      local newest, _, class = entry_at(FORMAT, tail, #tail - ENTRY + 1)
      local offset = call('STRLEN', key) - ENTRY * (bucket.void + 1)
      call('SETRANGE', key, offset, pack(FORMAT, newest, live - refunded, class))
      return
    end
    -- Overwrite the refunded entries with the entries that were added after them. The newest remaining entry gets the
    -- new number of live units.
    local moved = later > 0 and entries(bucket, later, 1) or entries(bucket, refunded + 1, refunded + 1)
    local newest = entry_at(FORMAT, moved, #moved - ENTRY + 1)
    moved = cut(moved, 1, -ENTRY - 1)
    local slots = max(later, 1) + refunded
    if live <= MAX_REWRITTEN then
      local before = live > slots and entries(bucket, live, slots + 1) or ''
      local log = before .. moved .. pack(FORMAT, newest, live - refunded, 0)
      write(bucket, log, lifetime(newest + extended(bucket.quota.window) - now))
      return
    end
    -- Do not change the expiry, because it is late enough. It was set for the newest remaining entry, or for a newer
    -- entry.
    local length = call('STRLEN', key)
    local class = later > 0 and bucket.class or 0
    call('SETRANGE', key, length - ENTRY * (slots + bucket.void), moved .. pack(FORMAT, newest, live - refunded, class))
    call('SETRANGE', key, length - ENTRY, pack(FORMAT, 0, bucket.void + refunded, 0))
  end

  return sliding_window
end

