-- sliding_window: at most `limit` admitted requests in any window, exactly.
--
-- The log is a sorted set: one member for each admitted request, its score the server's time in microseconds.
-- A request at t counts during [t, t + window).
--
-- KEYS[1]  the log
-- ARGV[1]  limit: whole number
-- ARGV[2]  window: microseconds
-- ARGV[3]  member: a name that no other request has
--
-- Reply    { admitted (1 or 0), remaining, microseconds to reset, microseconds to retry (0 if admitted) }
-- Writes   nothing when the request is denied, unless the clock was set back or the window lengthened since the last
-- Costs    O(log n) for n live members, plus O(log n) for each member that has expired or, after the clock was set
--          back, is in the future

local log = KEYS[1]
local limit = tonumber(ARGV[1])
local window = tonumber(ARGV[2])
local member = ARGV[3]

-- A key outlives its last member by this, so that it can't go before it.
local MARGIN_MS = 1000

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- In full: Lua's own way of writing a number keeps 14 digits of the 16.
local function score(micros)
  return string.format('%.0f', micros)
end

local function outlive_the_window()
  redis.call('PEXPIRE', log, score(math.ceil(window / 1000) + MARGIN_MS))
end

local newest = tonumber(redis.call('ZRANGE', log, -1, -1, 'WITHSCORES')[2]) or 0

-- The clock was set back: requests from its future count as if they came now, for one window at most.
if newest > now then
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', log, '(' .. score(now), '+inf')) do
    redis.call('ZADD', log, score(now), name)
  end
  newest = now
  outlive_the_window()
end

local live_from = '(' .. score(now - window)
local live = redis.call('ZCOUNT', log, live_from, '+inf')

if live >= limit then
  -- Room for one more when all but `limit - 1` of the live ones have left. More than `limit` are live only if the
  -- limit was higher before.
  local last_to_leave =
    redis.call('ZRANGEBYSCORE', log, live_from, '+inf', 'WITHSCORES', 'LIMIT', live - limit, 1)
  local wait = last_to_leave[2] + window - now
  -- The key was to outlive a shorter window.
  if redis.call('PTTL', log) * 1000 < newest + window - now then
    outlive_the_window()
  end
  return { 0, 0, wait, wait }
end

-- First what needs memory: if there is none, the server refuses it, and nothing has been written.
redis.call('ZADD', log, score(now), member)
redis.call('ZREMRANGEBYSCORE', log, '-inf', score(now - window))
outlive_the_window()

local oldest = redis.call('ZRANGE', log, 0, 0, 'WITHSCORES')
return { 1, limit - 1 - live, oldest[2] + window - now, 0 }
