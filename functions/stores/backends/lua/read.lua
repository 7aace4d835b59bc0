-- One snapshot: the totals, and every minute of some ranges once, as pairs of a minute and its hash.
--
-- KEYS  1 the totals (the minutes' keys are of the same slot)
-- ARGV  what every key begins with, then first and last of each range
local totals = redis.call('HGETALL', KEYS[1])
local life = redis.call('HGET', KEYS[1], 'life')
local minutes, seen = {}, {}
if life then
  for range = 2, #ARGV, 2 do
    for _, minute in ipairs(redis.call('ZRANGEBYSCORE', ARGV[1] .. life .. ':minutes', ARGV[range], ARGV[range + 1])) do
      if not seen[minute] then
        seen[minute] = true
        minutes[#minutes + 1] = {minute, redis.call('HGETALL', ARGV[1] .. life .. ':' .. minute)}
      end
    end
  end
end
return {totals, minutes}
