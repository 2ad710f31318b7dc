-- Adds counts to the statistics, and replaces the report of a process.
--
-- KEYS[1]: the hash of all reports: a time in microseconds, a space and the text, by the id of the process. The field
--          `revision` has the time of the last change of an old interval
-- KEYS[2]: the sequence number of the last publication of this process
-- KEYS[3]: the hash of the second of the last report of each process
-- KEYS[4] and further: the hashes of intervals, with a number for each counter
-- ARGV:    the id of the process, the sequence number, the report or an empty text, and for each interval: the second
--          of its end, the number of its counters, and then the name and the number of each counter
-- Reply:   {seconds, microseconds} with the time of the server
-- Cost:    three commands for each counter at most, usually one. Each 20th publication of a process removes the reports
--          of processes that no longer run, because possibly no process reads the statistics

local MAX_COUNTERS = 1500
local HOUR = 3660
-- The reports can have texts of keys, so they disappear soon after the last process has ended.
local MINUTE = 60
local MAX_AGE = 10
local CLEANUP_INTERVAL = 20

local time = redis.call('TIME')
local now = tonumber(time[1])
local micros = string.format('%.0f', now * 1000000 + tonumber(time[2]))
local last = redis.call('GET', KEYS[2])
if not last or tonumber(last) < tonumber(ARGV[2]) then
  -- The sequence number is written first. So if a counter cannot be changed, the client does not repeat the others.
  redis.call('SET', KEYS[2], ARGV[2], 'EX', HOUR)
  local argument = 4
  local has_late_counts = false
  for index = 4, #KEYS do
    local key = KEYS[index]
    local ends_at, counters = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
    argument = argument + 2
    if ends_at + HOUR > now then
      local length = redis.call('HLEN', key)
      for counter = argument, argument + 2 * counters - 2, 2 do
        local name = ARGV[counter]
        -- `length` is an upper bound, because a counter may exist already.
        if length >= MAX_COUNTERS then
          length = redis.call('HLEN', key)
          if length >= MAX_COUNTERS and redis.call('HEXISTS', key, name) == 0 then
            name = string.match(name, '^[^:]*:') .. 'other'
          end
        end
        redis.pcall('HINCRBY', key, name, ARGV[counter + 1])
        length = length + 1
      end
      redis.call('EXPIREAT', key, string.format('%.0f', ends_at + HOUR))
      has_late_counts = has_late_counts or ends_at + 30 <= now
    end
    argument = argument + 2 * counters
  end
  if has_late_counts then
    redis.call('HSET', KEYS[1], 'revision', micros)
  end
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[3], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], micros .. ' ' .. ARGV[3])
  redis.call('HSET', KEYS[3], ARGV[1], time[1])
end
if tonumber(ARGV[2]) % CLEANUP_INTERVAL == 0 then
  local times = redis.call('HGETALL', KEYS[3])
  for index = 1, #times, 2 do
    -- After the clock was set back, a report can be from the future.
    if math.abs(now - tonumber(times[index + 1])) > MAX_AGE then
      redis.call('HDEL', KEYS[1], times[index])
      redis.call('HDEL', KEYS[3], times[index])
    end
  end
end
redis.call('EXPIRE', KEYS[1], MINUTE)
redis.call('EXPIRE', KEYS[3], MINUTE)
return {time[1], time[2]}
