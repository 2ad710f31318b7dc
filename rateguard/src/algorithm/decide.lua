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

if algorithm.used(state) >= capacity then
  if not of_another_kind then
    algorithm.keep(state)
  end
  local wait = algorithm.until_room(state, 1)
  return { 0, 0, wait, wait }
end

algorithm.add(state, 1)
if of_another_kind then
  redis.call('DEL', key)
end
algorithm.save(state)
local remaining = capacity - algorithm.used(state)
return { 1, remaining, algorithm.until_room(state, remaining + 1), 0 }
