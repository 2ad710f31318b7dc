-- sliding_window: the exact algorithm. It admits at most `limit` units in any interval of one window.
--
-- The log is a string. Each admitted unit is an entry of 13 bytes, and the oldest entry is the first.
--   7 bytes  the server's time in microseconds
--   4 bytes  the number of live units including this one; 0 unless this is the last unit with its time
--   2 bytes  the class of the window (see `class_of`); 0 unless this is the last unit with its time
-- A unit at t counts during [t, t + window). The script sometimes removes expired entries at the start of a long log.
-- After a refund, the last entries of a long log may be void. The last void entry has the time 0, and its count is the
-- number of void entries, so a load finds the newest valid entry.
--
-- Costs O(1) for each unit, and O(log n) if many of n units have expired since the last request. A refund moves at most
-- 4,096 later entries. After the clock was set back, the script rewrites the entries from the future.

function algorithms.sliding_window()
  local FORMAT, ENTRY = '>I7I4I2', 13
  -- The script loads this many of the newest entries, with one GETRANGE from this offset to the end. The offset is a
  -- text, because Redis would convert a number to a text first.
  local TAIL_ENTRIES, TAIL_OFFSET = 32, '-416'
  -- The script writes a log of up to this many live units as a whole, because after APPEND the string uses twice the
  -- memory.
  local MAX_REWRITTEN = 128
  -- The maximum number of entries that a refund moves. The server needs at most about 0.1 ms to move them.
  local MAX_MOVED = 4096

  local pack, entry_at, cut = struct.pack, struct.unpack, string.sub

  -- Returns the class of the quota's window. Windows of the same class differ by about 1 %, and no window has class 0.
  -- The script sets the expiry for a window that is 4 % longer, so it need not set the expiry again for each request.
  local function class_of(quota)
    local class = quota.class or 1 + floor(math.log(quota.window) * 100)
    quota.class = class
    return class
  end

  local function extended(window)
    return window * 1.04
  end

  -- Returns the number of the time interval that contains `time`. The script sets the expiry once in each interval.
  -- Intervals are short, so the expiry is long enough until the interval ends.
  local function interval(time, class)
    return floor(time / max(math.exp((class - 1) / 100) * 0.02, 400000))
  end

  -- Returns the entries from `first` to `last`. Position 1 is the newest entry, so `first` is not less than `last`.
  local function entries(bucket, first, last)
    local void = bucket.void
    return call('GETRANGE', bucket.key, -ENTRY * (first + void), -ENTRY * (last + void - 1) - 1)
  end

  -- Replaces the log and sets its expiry, so the end of the script must not set another expiry for the key.
  local function write(bucket, log, millis)
    call('SET', bucket.key, log, 'PX', millis)
    expiries[bucket.key] = nil
  end

  -- Returns the expiry in milliseconds for a log whose newest unit is added now.
  local function log_lifetime(quota)
    local millis = quota.log_lifetime or whole(lifetime(extended(quota.window)))
    quota.log_lifetime = millis
    return millis
  end

  local function read_time(bucket, n)
    local entry = entries(bucket, n, n)
    return #entry == ENTRY and (entry_at(FORMAT, entry)) or 0
  end

  -- Returns the time of the n-th stored unit, counted from the newest.
  local function time_of(bucket, n)
    local offset = #bucket.tail - ENTRY * n
    if offset >= 0 then
      return (entry_at(FORMAT, bucket.tail, offset + 1))
    end
    return cached_time(bucket, n, read_time)
  end

  -- Returns how many of the last `high` units are later than `time`. At least `low` units are later.
  local function count_after(bucket, time, low, high)
    if high > low and time_of(bucket, high) > time then
      return high
    end
    -- Most units are usually later than `time`, so search from the oldest unit and double the distance each time. Then
    -- use a binary search.
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

  -- Sets the time of entries from the future to `now`, after the clock was set back. Otherwise these entries would
  -- count for longer than one window.
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
      -- Another application wrote this string, so it is not a log.
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
    -- Remove the expired entries only when they exceed an eighth of the live entries, because this rewrites the log.
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
    -- Units with the same time expire at the same time, so the script can refund any of them.
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
      -- Too many entries would have to move, so refund the oldest units instead: the script only lowers the count of
      -- live units. This admits no excess requests, because the remaining units expire later than the refunded ones
      -- would.
      local newest, _, class = entry_at(FORMAT, tail, #tail - ENTRY + 1)
      local offset = call('STRLEN', key) - ENTRY * (bucket.void + 1)
      call('SETRANGE', key, offset, pack(FORMAT, newest, live - refunded, class))
      return
    end
    -- The later entries overwrite the refunded entries. The new count is written into the newest remaining entry.
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
    -- The expiry need not change, because the script set it for this newest entry or for a later one.
    local length = call('STRLEN', key)
    local class = later > 0 and bucket.class or 0
    call('SETRANGE', key, length - ENTRY * (slots + bucket.void), moved .. pack(FORMAT, newest, live - refunded, class))
    call('SETRANGE', key, length - ENTRY, pack(FORMAT, 0, bucket.void + refunded, 0))
  end

  return sliding_window
end

