-- sliding_window: at most `limit` admitted units in any window, exactly.
--
-- The log is a string: an entry of 13 bytes for each admitted unit, in the order of their times.
--   7 bytes  the server's time in microseconds
--   4 bytes  how many units counted when this one came, with it; of several that came together only in the last of them
--   2 bytes  the class of the window (see below); of several that came together only in the last of them
-- A unit at t counts during [t, t + window). Entries before those that count are remainders, and cut off now and then.
-- After a refund, slots at the end of a long log may be void: the last of them has the time 0 and their number as its count.
-- Costs O(1) for each unit, and O(log n) where many of n have left at once. A refund moves the entries after the one that it
-- gives back, at most 4,096. After the clock was set back, the entries from the future are written anew.

function algorithms.sliding_window()
  local sliding_window = {}

  local FORMAT, ENTRY = '>I7I4I2', 13
  -- So many entries are read at once, from that place on. A server takes text sooner than it writes a number.
  local FEW, FEW_FROM = 32, '-416'
  -- A log of so many is written as a whole: what is appended to has room for as much again.
  local SMALL = 128
  -- A refund moves no more entries than this, so that no call takes a server longer than some 0.1 ms.
  local MAX_MOVED = 4096

  local pack, entry_at, cut = struct.pack, struct.unpack, string.sub

  -- Windows of one class differ by little more than 1 %; there is no class 0. An expiry is set for a window a little longer
  -- than that of the quota, so that within a class, and for a while, it need not be set again.
  local function class_of(quota)
    local class = quota.class or 1 + floor(math.log(quota.window) * 100)
    quota.class = class
    return class
  end

  local function lasting(window)
    return window * 1.04
  end

  -- The time in spans so short that an expiry that is set in one still holds at its end.
  local function span(time, class)
    return floor(time / max(math.exp((class - 1) / 100) * 0.02, 400000))
  end

  -- The entries from the first to the last, both counted from the newest.
  local function entries(bucket, first, last)
    local void = bucket.void
    return call('GETRANGE', bucket.key, -ENTRY * (first + void), -ENTRY * (last + void - 1) - 1)
  end

  -- Writes the log anew. Its expiry comes with it, as the last that is done to the key.
  local function write(bucket, log, millis)
    call('SET', bucket.key, log, 'PX', millis)
    expiries[bucket.key] = nil
  end

  -- For how many milliseconds a log is to be kept to which something was added now.
  local function kept_for(quota)
    local millis = quota.kept_for or whole(lifetime(lasting(quota.window)))
    quota.kept_for = millis
    return millis
  end

  -- When the n-th stored unit from the end came.
  local function time_of(bucket, n)
    local place = #bucket.tail - ENTRY * n
    if place >= 0 then
      return (entry_at(FORMAT, bucket.tail, place + 1))
    end
    -- Many requests of a batch look for the same unit.
    local times = bucket.times
    if not times then
      times = {}
      bucket.times = times
    end
    local known = times[n]
    if not known then
      local entry = entries(bucket, n, n)
      known = #entry == ENTRY and (entry_at(FORMAT, entry)) or 0
      times[n] = known
    end
    return known
  end

  -- How many of the last `most` came after this time, where `least` are known to.
  local function came_after(bucket, time, least, most)
    if most > least and time_of(bucket, most) > time then
      return most
    end
    -- Those that are sought are most often near the oldest.
    local step = 1
    while most - step > least and time_of(bucket, most - step) <= time do
      most, step = most - step, step * 2
    end
    local low = max(least, most - step)
    while most - low > 1 do
      local middle = floor((low + most) / 2)
      if time_of(bucket, middle) > time then
        low = middle
      else
        most = middle
      end
    end
    return low
  end

  -- The clock was set back: units from its future count as if they came now, for one window at most.
  local function come_now(bucket, counted)
    local future = came_after(bucket, now, 1, counted)
    local moved = string.rep(pack(FORMAT, now, 0, 0), future - 1) .. pack(FORMAT, now, counted, 0)
    call('SETRANGE', bucket.key, call('STRLEN', bucket.key) - ENTRY * (future + bucket.void), moved)
    expire_after(bucket.key, lasting(bucket.quota.window))
    bucket.tail, bucket.times = entries(bucket, FEW, 1), nil
  end

  function sliding_window.new(key, quota)
    return { key = key, quota = quota, tail = '', newest = 0, class = 0, live = 0, stored = 0, added = 0, void = 0 }
  end

  function sliding_window.load(bucket)
    local tail = try('GETRANGE', bucket.key, FEW_FROM, '-1')
    if tail == '' then
      return true
    end
    if not tail or #tail % ENTRY ~= 0 then
      return false
    end
    local over = now - bucket.quota.window
    local newest, counted, class = entry_at(FORMAT, tail, #tail - ENTRY + 1)
    if newest == 0 and counted > 0 then
      bucket.void = counted
      tail = entries(bucket, FEW, 1)
      if tail == '' then
        return false
      end
      newest, counted, class = entry_at(FORMAT, tail, #tail - ENTRY + 1)
    end
    if counted == 0 or newest >= 9007199254740992 then
      -- A string of somebody else's.
      return false
    end
    bucket.tail = tail
    if newest > now then
      come_now(bucket, counted)
      newest, class = now, 0
    end
    bucket.newest, bucket.class = newest, class
    if newest > over then
      bucket.live = came_after(bucket, over, 1, counted)
      bucket.stored = bucket.live
    end
    return true
  end

  function sliding_window.empty(bucket)
    bucket.tail, bucket.newest, bucket.class = '', 0, 0
    bucket.live, bucket.stored, bucket.added, bucket.void = 0, 0, 0, 0
  end

  function sliding_window.used(bucket)
    return bucket.live
  end

  function sliding_window.until_room(bucket, units)
    -- All but `capacity - units` of the live ones must leave. More than the capacity are live only if the limit was
    -- higher before, or more was charged than there was room for.
    local leaving = bucket.live + units - bucket.quota.capacity
    if leaving <= 0 then
      return 0
    end
    if leaving > bucket.stored then
      -- The last of them is added now.
      return bucket.quota.window
    end
    return time_of(bucket, bucket.stored - leaving + 1) + bucket.quota.window - now
  end

  function sliding_window.add(bucket, units)
    bucket.live = bucket.live + units
    bucket.added = bucket.added + units
  end

  function sliding_window.save(bucket)
    local key, window, live, added = bucket.key, bucket.quota.window, bucket.live, bucket.added
    local class = class_of(bucket.quota)
    local new = pack(FORMAT, now, live, class)
    if added > 1 then
      new = string.rep(pack(FORMAT, now, 0, 0), added - 1) .. new
    end
    local stored = live - added
    if live <= SMALL then
      local kept = cut(bucket.tail, #bucket.tail - ENTRY * stored + 1)
      if stored > FEW then
        kept = entries(bucket, stored, 1)
      end
      write(bucket, kept .. new, kept_for(bucket.quota))
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
    if length > ENTRY * (live + live / 8 + FEW) then
      write(bucket, entries(bucket, live, 1), kept_for(bucket.quota))
    elseif class ~= bucket.class or span(now, class) ~= span(bucket.newest, class) then
      expire_after(key, lasting(window))
    end
  end

  function sliding_window.keep(bucket)
    -- The key was to outlive a shorter window.
    local window = bucket.quota.window
    if bucket.live > 0 and bucket.class ~= class_of(bucket.quota) then
      local lasts = bucket.newest + window - now
      if call('PTTL', bucket.key) * 1000 < lasts then
        expire_after(bucket.key, lasts)
      end
    end
  end

  function sliding_window.give_back(bucket, units, _, taken_at)
    local key, live = bucket.key, bucket.live
    local later = came_after(bucket, taken_at, 0, live)
    -- Units that came at one time leave at one time: it makes no difference which of them go.
    local back = min(units, came_after(bucket, taken_at - 1, later, live) - later)
    if back == 0 then
      return
    end
    if back == live then
      call('DEL', key)
      return
    end
    local tail = bucket.tail
    if later > MAX_MOVED then
      -- The oldest units go instead. That never admits too many: the units that stay in their place leave later than they.
      local newest, _, class = entry_at(FORMAT, tail, #tail - ENTRY + 1)
      call('SETRANGE', key, call('STRLEN', key) - ENTRY * (bucket.void + 1), pack(FORMAT, newest, live - back, class))
      return
    end
    -- The later entries move over those that go. The newest of them, or if there is none the entry before, counts the rest.
    local moved = later > 0 and entries(bucket, later, 1) or entries(bucket, back + 1, back + 1)
    local newest = entry_at(FORMAT, moved, #moved - ENTRY + 1)
    moved = cut(moved, 1, -ENTRY - 1)
    local slots = max(later, 1) + back
    if live <= SMALL then
      local before = live > slots and entries(bucket, live, slots + 1) or ''
      local log = before .. moved .. pack(FORMAT, newest, live - back, 0)
      write(bucket, log, lifetime(newest + lasting(bucket.quota.window) - now))
      return
    end
    -- The key's expiry still holds, as it was set for this newest entry or a later one.
    local length = call('STRLEN', key)
    local class = later > 0 and bucket.class or 0
    call('SETRANGE', key, length - ENTRY * (slots + bucket.void), moved .. pack(FORMAT, newest, live - back, class))
    call('SETRANGE', key, length - ENTRY, pack(FORMAT, 0, bucket.void + back, 0))
  end

  function sliding_window.reset(bucket)
    call('DEL', bucket.key)
  end

  return sliding_window
end

