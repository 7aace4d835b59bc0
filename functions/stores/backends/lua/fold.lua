-- Folds a batch into the statistics and moves the cursor, in one step, or changes nothing because the cursor is elsewhere.
--
-- KEYS  1 the totals, 2 the index of minutes, then one hash for each minute of the batch
-- ARGV  the life that the caller knows, the cursor before, the cursor after, how long the totals live and a minute (seconds);
--       then for the totals and for each minute its number, how many pairs follow, and the pairs: field, what to add
--
-- Numbers stay text on their way to HINCRBY: a Lua number is exact to 53 bits, a sum of microseconds to 63.
local known, after, upto, totals_live, minute_lives = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local life, cursor = unpack(redis.call('HMGET', KEYS[1], 'life', 'cursor'))
if life then
  if life ~= known or cursor ~= after then return 0 end
elseif after ~= '0' then
  return 0
end
redis.call('HSET', KEYS[1], 'life', known, 'cursor', upto)
local at = 6
for number, key in ipairs(KEYS) do
  if number ~= 2 then
    local minute, pairs_here = ARGV[at], tonumber(ARGV[at + 1])
    at = at + 2
    for place = at, at + 2 * pairs_here - 2, 2 do
      redis.call('HINCRBY', key, ARGV[place], ARGV[place + 1])
    end
    at = at + 2 * pairs_here
    if number > 2 then
      redis.call('ZADD', KEYS[2], minute, minute)
      redis.call('EXPIRE', key, minute_lives)
    end
  end
end
redis.call('EXPIRE', KEYS[1], totals_live)
redis.call('EXPIRE', KEYS[2], totals_live)
return 1
