local algorithm = algorithms[ARGV[1]]()
local state = algorithm.load()
local of_another_kind = not state

if of_another_kind then
  -- It was counted with another algorithm: what counts of it counts on, as if it came now.
  local kind = redis.call('TYPE', key).ok
  local make_other = kind == 'zset' and algorithms.sliding_window
    or kind == 'hash' and algorithms[redis.call('HGET', key, 'algorithm') or '']
  if not make_other then
    return redis.error_reply('WRONGTYPE this key is no count of ours')
  end
  local other = make_other()
  state = algorithm.empty()
  algorithm.add(state, math.min(other.used(other.load()), capacity))
end

local denied = algorithm.used(state) >= capacity
if not denied then
  algorithm.add(state, 1)
end

if of_another_kind then
  -- Also on a denial, or its wait would begin anew with each.
  redis.call('DEL', key)
  algorithm.save(state)
elseif denied then
  algorithm.keep(state)
else
  algorithm.save(state)
end

if denied then
  local wait = algorithm.until_room(state, 1)
  return { 0, 0, wait, wait }
end
local remaining = capacity - algorithm.used(state)
return { 1, remaining, algorithm.until_room(state, remaining + 1), 0 }
