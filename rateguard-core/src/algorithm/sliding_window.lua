-- sliding_window: the exact algorithm. It admits at most `limit` units in any interval that is as long as the window.
--
-- The log is a string in Redis. Each admitted unit is an entry of 13 bytes. The oldest entry is the first one.
--   7 bytes  the time of the server in microseconds
--   4 bytes  the number of live units, including this unit
--   2 bytes  the class of the window (see `prepare`)
-- The script reads the number and the class only in the newest entry, so both may be 0 in the other entries. A unit
-- that is taken at t counts during [t, t + window). The script removes the expired entries at the start of a log only
-- from time to time. After a refund, a long log may end with void entries, which have no meaning. The last void
-- entry has the time 0. It has the number of void entries in place of the number of live units, so the script can
-- find the newest valid entry.
--
-- The cost is O(1) for each unit. If many of the n units in the log have expired since the last request, the script
-- also needs O(log n) to find the oldest live unit. A refund moves at most 4,096 later entries. After the clock was set
-- back, the script rewrites the entries from the future.

function algorithms.sliding_window()
  local FORMAT, TIME, ENTRY = '>I7I4I2', '>I7', 13
  -- The script loads the newest entries with its first command for a bucket. If the limit is at most `SHORT_LOG`, it
  -- loads all live entries, because a second command takes as long as to read 32 entries more. Otherwise, it loads
  -- `TAIL_ENTRIES`. These have more bytes than the record of any other algorithm, so the script reads the whole record,
  -- and its length is not the length of a log.
  local SHORT_LOG, TAIL_ENTRIES = 32, 4
  -- The number of entries that the script reads with each further command.
  local CHUNK_ENTRIES = 4
  -- If a log has at most this many live units, a refund writes the whole log, so it leaves no void entries.
  local MAX_REWRITTEN = 128
  -- The maximum number of entries that a refund moves. Redis needs at most about 0.1 ms to move this many entries.
  local MAX_MOVED = 4096

  local run, cut, rep, format = redis.pcall, string.sub, string.rep, string.format

  -- The entries that the script has read last, apart from the tails: the bucket, the numbers of the oldest and of the
  -- newest entry, and the entries.
  local chunk_bucket, chunk_first, chunk_last, chunk

  -- The numbers and the offsets of the entries that the script has read last. If many keys of a batch have full logs,
  -- the script reads the same entries of each of them.
  local range_first, range_last, range_from, range_to

  -- Computes the fields of a quota that do not depend on the bucket:
  --   class           the class of the window. A class is a range of durations that differ by at most about 1 %, and no
  --                   window has the class 0. The script sets each expiry for a window that is 4 % longer than the
  --                   quota's window, so it does not have to set the expiry again for each request
  --   interval_start  the start of the current time interval. The script sets the expiry only once in each interval.
  --                   The intervals are so short that this expiry is late enough for the whole interval
  --   tail_offset     the offset of the tail that the script loads, as a text, because Redis would first have to
  --                   convert a number to a text
  local function prepare(quota)
    local class = 1 + floor(math.log(quota.window) * 100)
    local interval = max(math.exp((class - 1) / 100) * 0.02, 400000)
    local tail_entries = quota.capacity <= SHORT_LOG and max(quota.capacity, TAIL_ENTRIES) or TAIL_ENTRIES
    quota.interval_start = floor(now / interval) * interval
    quota.tail_offset = whole(-ENTRY * tail_entries)
    quota.class = class
  end

  local function extended(window)
    return window * 1.04
  end

  -- Reads the entries with the numbers `first` to `last` from Redis. The newest entry has the number 1, so `first` is
  -- at least `last`.
  local function entries(bucket, first, last)
    local void = bucket.void or 0
    first, last = first + void, last + void - 1
    if first ~= range_first or last ~= range_last then
      -- Redis would take longer to convert the numbers to texts.
      range_first, range_last = first, last
      range_from, range_to = format('%d', -ENTRY * first), format('%d', -ENTRY * last - 1)
    end
    return call('GETRANGE', bucket.key, range_from, range_to)
  end

  -- Returns the time of the n-th unit in Redis. The newest unit has the number 1.
  local function time_of(bucket, n)
    local tail = bucket.tail
    local offset = #tail - ENTRY * n
    if offset >= 0 then
      return (decode(TIME, tail, offset + 1))
    end
    if chunk_bucket ~= bucket or n > chunk_first or n < chunk_last then
      -- Also read the entries that follow. The script needs them if this entry has expired.
      chunk_bucket, chunk_first, chunk_last = bucket, n, max(1, n - CHUNK_ENTRIES + 1)
      chunk = entries(bucket, chunk_first, chunk_last)
    end
    if #chunk < ENTRY * (chunk_first - chunk_last + 1) then
      -- The log has fewer entries.
      return 0
    end
    return (decode(TIME, chunk, ENTRY * (chunk_first - n) + 1))
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
    local moved = rep(encode(FORMAT, now, 0, 0), future - 1) .. encode(FORMAT, now, counted, 0)
    call('SETRANGE', bucket.key, call('STRLEN', bucket.key) - ENTRY * (future + (bucket.void or 0)), moved)
    expire_after(bucket.key, extended(bucket.quota.window))
    bucket.tail, bucket.newest, bucket.class = entries(bucket, TAIL_ENTRIES, 1), now, 0
    chunk_bucket = nil
  end

  local sliding_window = exact_log(time_of)

  function sliding_window.new(key, quota, used)
    if not quota.class then
      prepare(quota)
    end
    return { key = key, quota = quota, used = used, taken = false, tail = '', newest = 0, class = 0, oldest = false }
  end

  -- Updates a bucket whose newest entry is void, from the future, or invalid. Returns the number of units that were
  -- live at the time of the newest unit. Returns nil if the string is not a log, so another application wrote it.
  local function repair(bucket, counted)
    if bucket.newest == 0 and counted > 0 then
      bucket.void = counted
      bucket.tail = entries(bucket, TAIL_ENTRIES, 1)
      if bucket.tail == '' then
        return nil
      end
      bucket.newest, counted, bucket.class = decode(FORMAT, bucket.tail, #bucket.tail - ENTRY + 1)
    end
    if counted == 0 or bucket.newest >= 9007199254740992 then
      return nil
    end
    if bucket.newest > now then
      clamp_future_entries(bucket, counted)
    end
    return counted
  end

  function sliding_window.load(key, quota)
    if not quota.class then
      prepare(quota)
    end
    local tail = run('GETRANGE', key, quota.tail_offset, '-1')
    -- An error is a table without a length.
    local length = #tail
    if length == 0 then
      return typed(tail) and sliding_window.new(key, quota, 0)
    elseif length % ENTRY > 0 then
      return nil
    end
    local newest, counted, class = decode(FORMAT, tail, length - ENTRY + 1)
    local bucket =
      { key = key, quota = quota, used = 0, taken = false, tail = tail, newest = newest, class = class, oldest = false }
    if newest == 0 or newest > now or counted == 0 then
      counted = repair(bucket, counted)
      if not counted then
        return nil
      end
    end
    if bucket.class ~= quota.class then
      -- The expiry was set for another window.
      bucket.is_stale = true
    end
    local cutoff = now - quota.window
    if bucket.newest > cutoff then
      local oldest = time_of(bucket, counted)
      if oldest <= cutoff then
        counted = count_after(bucket, cutoff, 1, counted)
        oldest = time_of(bucket, counted)
      end
      bucket.used, bucket.oldest = counted, oldest
    end
    return bucket
  end

  function sliding_window.save(bucket)
    local key, quota, used = bucket.key, bucket.quota, bucket.used
    local class = quota.class
    local new = encode(FORMAT, now, used, class)
    local added = bucket.taken + (bucket.converted or 0)
    local stored = used - added
    if added > 1 then
      new = rep(encode(FORMAT, now, 0, 0), added - 1) .. new
    end
    if stored == 0 then
      write(key, new, extended(quota.window))
      return
    end
    local length
    local void = bucket.void or 0
    if void == 0 then
      -- This takes a third of the time that Redis needs to write the whole log with its expiry.
      length = call('APPEND', key, new)
    else
      length = call('SETRANGE', key, call('STRLEN', key) - ENTRY * void, new)
      void = max(0, void - added)
      bucket.void = void
      if void > 0 then
        call('SETRANGE', key, length - ENTRY, encode(FORMAT, 0, void, 0))
      end
    end
    -- To remove expired entries, the script must rewrite the log. It therefore removes them only when there are more
    -- than 8, plus an eighth of the number of live entries.
    if length > ENTRY * (used + used / 8 + 8) then
      write(key, entries(bucket, used, 1), extended(quota.window))
    elseif class ~= bucket.class or bucket.newest < quota.interval_start then
      expire_after(key, extended(quota.window))
    end
  end

  sliding_window.refresh = extend_expiry

  function sliding_window.refund(bucket, units, _, taken_at)
    local key, live = bucket.key, bucket.used
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
    local void = bucket.void or 0
    if later > MAX_MOVED then
      -- Too many entries were added after the refunded entries, so the script does not move them. It only writes a
      -- lower number of live units, which removes the oldest units instead of the refunded units. This admits no
      -- excess request, because each remaining unit expires later than the removed units.
      local offset = call('STRLEN', key) - ENTRY * (void + 1)
      call('SETRANGE', key, offset, encode(FORMAT, bucket.newest, live - refunded, bucket.class))
      return
    end
    -- Overwrite the refunded entries with the entries that were added after them. The newest remaining entry gets the
    -- new number of live units.
    local moved = later > 0 and entries(bucket, later, 1) or entries(bucket, refunded + 1, refunded + 1)
    local newest = decode(FORMAT, moved, #moved - ENTRY + 1)
    moved = cut(moved, 1, -ENTRY - 1)
    local slots = max(later, 1) + refunded
    if live <= MAX_REWRITTEN then
      local before = live > slots and entries(bucket, live, slots + 1) or ''
      local log = before .. moved .. encode(FORMAT, newest, live - refunded, 0)
      write(key, log, newest + extended(bucket.quota.window) - now)
      return
    end
    -- Do not change the expiry, because it is late enough. It was set for the newest remaining entry, or for a newer
    -- entry.
    local length = call('STRLEN', key)
    local class = later > 0 and bucket.class or 0
    call('SETRANGE', key, length - ENTRY * (slots + void), moved .. encode(FORMAT, newest, live - refunded, class))
    call('SETRANGE', key, length - ENTRY, encode(FORMAT, 0, void + refunded, 0))
  end

  return sliding_window
end

