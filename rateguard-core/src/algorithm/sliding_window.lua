-- sliding_window: the exact algorithm. It admits at most `limit` units in any interval that is as long as the window.
--
-- `packed_log.lua` describes the log and has the functions that read and write it.
--
-- The cost is O(1) for each unit. If many of the n units in the log have expired since the last request, the script
-- also needs O(log n) to find the oldest live unit. A refund moves at most 4,096 later entries. After the clock was set
-- back, the script rewrites the entries from the future.

function algorithms.sliding_window()
  -- If a log has at most this many live units, a refund writes the whole log, so it leaves no void entries.
  local MAX_REWRITTEN = 128
  -- The maximum number of entries that a refund moves. Redis needs at most about 0.1 ms to move this many entries.
  local MAX_MOVED = 4096

  -- Sets the time of all entries from the future to `now`. Entries from the future exist only after the clock was set
  -- back. With their original times, they would count for longer than one window.
  local function clamp_future_entries(bucket, counted)
    local future = count_after(bucket, now, 1, counted)
    local moved = string.rep(encode(FORMAT, now, 0, 0), future - 1) .. encode(FORMAT, now, counted, 0)
    call('SETRANGE', bucket.key, call('STRLEN', bucket.key) - ENTRY * (future + (bucket.void or 0)), moved)
    expire_after(bucket.key, bucket.quota.lifetime)
    bucket.tail, bucket.newest, bucket.class = entries(bucket, TAIL_ENTRIES, 1), now, 0
    chunk_bucket = nil
  end

  local sliding_window = exact_log(time_of)

  function sliding_window.new(key, quota, used)
    if not quota.class then
      prepare_log(quota)
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
      prepare_log(quota)
    end
    local tail = redis.pcall('GETRANGE', key, quota.tail_offset, '-1')
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
    if bucket.newest > now - quota.window then
      bucket.used, bucket.oldest = live_units(bucket, counted)
    end
    return bucket
  end

  function sliding_window.save(bucket)
    local added = bucket.taken + (bucket.converted or 0)
    local failure = add_units(bucket, bucket.used - added, added)
    if failure then
      error(failure)
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
    moved = string.sub(moved, 1, -ENTRY - 1)
    local slots = max(later, 1) + refunded
    if live <= MAX_REWRITTEN then
      local before = live > slots and entries(bucket, live, slots + 1) or ''
      local log = before .. moved .. encode(FORMAT, newest, live - refunded, 0)
      if redis.pcall('SET', key, log, 'PX', lifetime(newest + bucket.quota.lifetime - now)).ok then
        expiries[key] = nil
        return
      end
      -- An operator may forbid `SET`. A refund of units that this call has appended must not fail.
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

