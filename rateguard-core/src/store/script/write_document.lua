-- Replaces a document, if it has the expected version.
--
-- KEYS[1]: the hash with the fields `version` and `text`
-- ARGV:    the expected version, the text, and the end of the document in milliseconds since 1970
-- Reply:   {version} with the new version, or {} if the document has another version
-- Cost:    a constant number of commands

local old = redis.call('HGET', KEYS[1], 'version') or '0'
if old ~= ARGV[1] then
  return {}
end
local time = redis.call('TIME')
-- The time makes a version different from those before a loss of the data.
local version = time[1] * 1000000 + time[2]
if version <= tonumber(old) then
  version = tonumber(old) + 1
end
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expires_at = math.max(tonumber(ARGV[3]), now + redis.call('PTTL', KEYS[1]))
version = string.format('%.0f', version)
redis.call('HSET', KEYS[1], 'version', version, 'text', ARGV[2])
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', expires_at))
return {version}
