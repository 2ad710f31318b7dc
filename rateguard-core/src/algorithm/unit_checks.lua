-- Decides the most common batches: checks of one unit with the same quota of the algorithm sliding_window. Each request has
-- one bucket, and either all requests have different buckets or all have the same bucket.
--
-- The rest of the script decides any batch. This file needs a third of its time for such a batch, because it creates only
-- the functions of packed_log.lua and no table for a bucket or a request. It decides the requests in order until a bucket
-- is unusual: the state of another algorithm, void entries, units from the future, another class of the window, more units
-- than the capacity, or an error of Redis. It changes no unusual bucket. The rest of the script decides the request of this
-- bucket and all later requests.

-- The numbers of the reply, and the number of requests that this file has decided.
local reply, reply_length, decided = { now }, 1, 0

-- The comment at the start of `prelude.lua` documents these arguments.
local is_common = ARGV[3] == 'bytes' and ARGV[4] == '' and ARGV[5] == '1' and ARGV[6] == 'sliding_window'
if is_common and ARGV[11] == '1' and ARGV[12] == 'check' and ARGV[14] == '1' and ARGV[16] == '1' then
  local window, capacity, deadline, requests = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[13]), ARGV[17]
  local quota = { window = window, capacity = capacity, class = 0, lifetime = 0, interval_start = 0, tail_offset = '' }
  prepare_log(quota)
  -- The bucket of the current request.
  local bucket = { key = '', quota = quota, tail = '', newest = 0, class = 0 }
  -- The number of requests of each bucket.
  local repeats = 1
  if requests ~= '' then
    repeats = #KEYS == 1 and select(2, string.gsub(requests, '1 1', '')) or 0
  end

  local cutoff = now - window
  local is_late = deadline > 0 and now > deadline
  for index = 1, (is_late or repeats == 0) and 0 or #KEYS do
    bucket.key = KEYS[index]
    local tail = redis.pcall('GETRANGE', bucket.key, quota.tail_offset, '-1')
    -- An error is a table without a length.
    local length = #tail
    -- The number of live units, and the time of the oldest live unit. Both stay nil if the bucket is unusual.
    local stored, oldest
    if tail == '' then
      stored, oldest = 0, now
    elseif length > 0 and length % ENTRY == 0 then
      local newest, counted, class = decode(FORMAT, tail, length - ENTRY + 1)
      if newest > 0 and newest <= cutoff and counted > 0 then
        stored, oldest = 0, now
      elseif newest > cutoff and newest <= now and counted > 0 and counted <= capacity and class == quota.class then
        bucket.tail, bucket.newest, bucket.class, chunk_bucket = tail, newest, class, nil
        stored, oldest = live_units(bucket, counted)
      end
    end
    if not stored then
      break
    end
    local added = min(repeats, capacity - stored)
    if added > 0 and add_units(bucket, stored, added) then
      break
    end
    local reset = oldest + window - now
    for request = 1, repeats do
      local remaining = capacity - stored - min(request, added)
      local length = reply_length
      reply[length + 1], reply[length + 2] = request <= added and 1 or 0, remaining
      reply[length + 3], reply[length + 4] = reset, remaining > 0 and 0 or reset
      reply_length = length + 4
    end
    decided = index
  end
  if decided == #KEYS then
    return encode_bytes(reply, reply_length)
  end
end

