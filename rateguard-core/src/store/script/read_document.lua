-- Reads a document, if its version is not the last one that the client has read.
--
-- KEYS[1]: the hash with the fields `version` and `text`
-- ARGV[1]: the last version of the client, or an empty text
-- Reply:   {version}, or {version, seconds, microseconds, text} with the time of the server
-- Cost:    one command if the version is the same

local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version == ARGV[1] then
  return {version}
end
local time = redis.call('TIME')
return {version, time[1], time[2], redis.call('HGET', KEYS[1], 'text') or ''}
