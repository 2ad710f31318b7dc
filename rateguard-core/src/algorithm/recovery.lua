-- Decides the batch. If a command for a bucket fails, the script marks this bucket as failed and decides the batch
-- again. It repeats this until no command fails.

local is_done, failure = pcall(decide_all)
if is_done then
  return encode_reply()
end

-- Refunds the units that this attempt has already written for a bucket. The next attempt decides all requests of the
-- batch again, so the units would otherwise count twice.
local function roll_back(saved_bucket)
  if not saved_bucket.is_written then
    return
  end
  local key, quota, algorithm = saved_bucket.key, saved_bucket.quota, saved_bucket.algorithm
  -- A sorted set finds the units of each request by its id. The other algorithms find them by their time.
  local additions = saved_bucket.additions or { 0, saved_bucket.taken }
  for i = 1, #additions, 2 do
    local bucket = algorithm.load(key, quota)
    if bucket then
      algorithm.refund(bucket, additions[i + 1], arguments[1] .. '-' .. whole(additions[i]), now)
    end
  end
  local leases = saved_bucket.leases or {}
  for i = 1, #leases, 2 do
    local bucket = algorithm.load(key, quota)
    if bucket then
      algorithm.settle(bucket, leases[i + 1], arguments[1] .. '-' .. whole(leases[i]), '0')
    end
  end
end

-- Marks the bucket of the current key as failed. In the next attempt, only the requests that use a failed bucket get
-- an error.
local function mark_failed(text)
  local text_number = 0
  for i, error_text in ipairs(error_texts) do
    if error_text == text then
      text_number = i
    end
  end
  if text_number == 0 then
    text_number = #error_texts + 1
    error_texts[text_number] = text
  end
  failures[current] = -1 - text_number
  has_failures = true
  if string.find(text, 'OOM', 1, true) then
    -- Redis is out of memory, so it would also reject the writes for the other buckets. Mark all buckets that have
    -- unsaved units as failed.
    for index, bucket in pairs(buckets) do
      if bucket.taken and bucket.taken > 0 then
        failures[index] = -1 - text_number
      end
    end
  end
end

-- Returns the error as a reply of the script. Before Redis 7, an error is a text that begins with a position in the
-- script (`@user_script: 7:`). For such a text, the script raises the error again, because Redis then extracts the
-- original error code from the text.
local function as_reply(failure)
  if type(failure) == 'table' then
    return failure
  elseif string.find(failure, '^@') then
    error(failure, 0)
  end
  return redis.error_reply(failure)
end

repeat
  local failed = current
  for _, bucket in ipairs(saved) do
    pcall(roll_back, bucket)
  end
  current = failed
  if arguments[3] == 'numbers' or not current or failures[current] then
    return as_reply(failure)
  end
  mark_failed(type(failure) == 'table' and failure.err or tostring(failure))
  is_done, failure = pcall(decide_all)
until is_done
return encode_reply()
