-- Defines what the files of the algorithms share.

-- Formats an integer with all of its digits. The default format of Lua has only 14 significant digits, but a time in
-- microseconds has 16.
local function whole(number)
  return string.format('%.0f', number)
end

-- Sets the expiry of a key at the end of the script.
local function expire_after(key, micros)
  expiries[key] = lifetime(micros)
end

-- Returns the reply of a command that was run with `redis.pcall`. Returns nil if the key has a type for which the
-- command does not work. Raises every other error.
local function typed(reply)
  if type(reply) ~= 'table' or not reply.err then
    return reply
  end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    return nil
  end
  error(reply)
end

-- Writes a string with its expiry, instead of any other value of the key. Removes the key from `expiries`, so that the
-- script does not set another expiry at its end.
local function write(key, bytes, micros)
  call('SET', key, bytes, 'PX', lifetime(micros))
  expiries[key] = nil
end

-- An algorithm without a log stores a record: a string with a fixed number of bytes. The first byte is the tag of the
-- algorithm. No UTF-8 text contains any of these tags, and no log begins with one of them. Each of the other numbers
-- has 7 bytes, because the script uses only integers from 0 to 2^53 - 1, which Lua represents exactly.

-- Reads a record. Returns an empty string if the key does not exist, and nil if another algorithm or another
-- application wrote the key.
local function read_record(key, tag, size)
  -- No record has more than 43 bytes.
  local record = typed(redis.pcall('GETRANGE', key, '0', '43'))
  if record == '' or record and #record == size and string.byte(record) == tag then
    return record
  end
end

-- Writes a record over the previous record of the key. This does not change the expiry of the key, and takes half of
-- the time that Redis needs to write a string with an expiry.
local function overwrite(key, record)
  call('SETRANGE', key, '0', record)
end

-- Like `overwrite`, but uses another command if Redis rejects the first one. If a command for another key was rejected,
-- the script refunds what it has written in this call, so a refund must not fail for the same reason.
local function overwrite_for_refund(key, record)
  if type(redis.pcall('SETRANGE', key, '0', record)) == 'table' then
    call('SET', key, record, 'KEEPTTL')
  end
end

-- Maps the name of each algorithm to a function that returns a table of operations. An operation must give the same
-- result as the Rust code of the algorithm. A bucket is a table. Its fields are the state of the algorithm, and these:
--   key        the key in Redis
--   quota      the quota, from the arguments of the script
--   algorithm  the operations of the algorithm that has the state. This is the algorithm of the quota, except if another
--              process has units of a lease: until the lease ends, the bucket remains a log or a token bucket with these
--              units
--   used       the number of units that count
--   taken      the number of units that this script call has taken; false if it has only read the bucket
--   converted  the number of units that come from the state of another algorithm; nil if there are none
--   future     a number above 0 if the state in Redis has units of leases, so it must not be converted; otherwise 0 or nil
--   is_stale   whether `refresh` must be called if this script call takes no units
--   is_written whether the units that this script call has taken are in Redis
-- The operations:
--   load(key, quota)          reads the state, updates it to the time `now`, and returns the bucket; returns nil if
--                             another algorithm or another application wrote the key
--   new(key, quota, n)        returns a bucket with n units that were taken now
--   wait_for(bucket, n)       returns the microseconds until n more units fit
--   add(bucket, n, id, lease) is called after the request with this id has added n units to `used`; updates the other
--                             fields, but does not write to Redis; nil if the algorithm has no fields to update. `lease`
--                             is true if the units are for a lease
--   save(bucket)              writes the state with the added units to Redis; sets `is_written` if further commands
--                             follow the command that writes the units
--   refresh(bucket)           is called instead of save if the bucket is stale and no units were added; sets a later
--                             expiry if necessary, and writes the state if the clock or the quota has changed
--   reset(bucket)             removes all units; is called only if this algorithm wrote the key
--   refund(bucket, n, by, at) removes up to n units that the request with the id `by` took at time `at`; removes
--                             nothing if these units no longer count
--   is_held(bucket, n, by)    returns whether the request with the id `by` still holds n permits
--   renew(bucket, n, by)      starts a new lease of the n permits of the request with the id `by`
--   settle(bucket, n, by, uses) moves each used unit of a lease to the time of its use or to a later one, and removes the
--                             other units. The request with the id `by` took n units for the lease; `uses` is the argument
--                             of the return
--   is_full(bucket)           returns whether the bucket has too many leases for a further one
-- Only `concurrency` has `is_held` and `renew`, because no other algorithm has permits. Only
-- `sliding_window_sorted_set` and `token_bucket_leases` have `settle`, and only the latter has `is_full`.
local algorithms = {}

-- The operations of the algorithms that this script call uses. `algorithm_named` in `arguments.lua` creates them.
local created = {}

