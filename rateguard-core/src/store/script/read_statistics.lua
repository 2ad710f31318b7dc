-- Reads the reports of all processes and the counters of some intervals. Removes the reports of processes that no longer
-- run.
--
-- KEYS[1]: the hash of all reports, as in `publish_statistics.lua`
-- KEYS[2] and further: the hashes of intervals
-- Reply:   {seconds, microseconds, revision, number of reports}, and then the id, the age in microseconds and the text of
--          each report, and for each interval the number of its counters, and then their names and numbers
-- Cost:    one command for each interval and for each removed report

local MAX_AGE = 10000000
local MAX_REPORTS = 200
local MAX_REPORT = 131072
local MAX_COUNTERS = 3000

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local reply = {time[1], time[2], redis.call('HGET', KEYS[1], 'revision') or '0', ''}
local number = 0
local reports = redis.call('HGETALL', KEYS[1])
for index = 1, #reports, 2 do
  local process, report = reports[index], reports[index + 1]
  if process ~= 'revision' then
    local age = now - (tonumber(string.match(report, '^%d+')) or 0)
    -- After the clock was set back, a report can be from the future.
    if math.abs(age) > MAX_AGE then
      redis.call('HDEL', KEYS[1], process)
    elseif number < MAX_REPORTS and #report <= MAX_REPORT then
      number = number + 1
      reply[#reply + 1] = process
      reply[#reply + 1] = string.format('%.0f', math.max(age, 0))
      reply[#reply + 1] = string.match(report, '^%d+ (.*)') or ''
    end
  end
end
reply[4] = tostring(number)
for index = 2, #KEYS do
  local counters = {}
  if redis.call('HLEN', KEYS[index]) <= MAX_COUNTERS then
    counters = redis.call('HGETALL', KEYS[index])
  end
  reply[#reply + 1] = tostring(#counters / 2)
  for position = 1, #counters do
    reply[#reply + 1] = counters[position]
  end
end
return reply
