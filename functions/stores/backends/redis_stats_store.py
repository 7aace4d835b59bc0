"""`StatsStore` on Redis 7: one script folds a batch and moves the cursor; everything in it can be built anew from the log.

Keys, of one slot: `observatory:{UUID}:totals` (a hash: cursor, life, states, sums and buckets since the beginning), and of each
life `...:LIFE:minutes` (which there are) and a hash for each, `...:LIFE:MINUTE`. The life is drawn when the totals begin: should
they be lost alone, minutes of the life before are never counted again. Every key expires, and is kept by writing. Beside them,
records of instances: `...:instances` by name, `...:instances-by-start` in order.
"""

import uuid
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

import orjson
from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError, RedisError

from contracts import strict_json
from contracts.errors import ConfigurationError, StatisticsUnavailable
from contracts.statistics import ALL_TIME, MINUTE_MICROS, Delta, Figures, State
from functions.stores.condition import FAIL, WARN, Condition
from functions.stores.instances import MOST, Instance
from functions.stores.stats_store import Reading

Result = TypeVar("Result")

SCRIPTS = Path(__file__).parent / "lua"
TOTALS_SECONDS = 400 * 86_400
KEPT_SECONDS = 31 * 86_400
NEARLY = 0.9  # of maxmemory
AT_ONCE = 20_000  # pairs in one call of the script, when statistics begin at a checkpoint
STATE, SUM, BUCKET = "s", "n", "b"
_TIMEOUTS: dict[str, Any] = {"socket_connect_timeout": 3.0, "socket_timeout": 5.0, "health_check_interval": 15}  # the URL may say otherwise


class RedisStatsStore:
    """The statistics of the deployment `source` on the Redis that `url` names. Connects when it is used.

    A minute is dropped by `prune`, and at the latest `kept_seconds` after it was last written.
    """

    elsewhere = True

    def __init__(self, url: str, source: str, kept_seconds: int = KEPT_SECONDS) -> None:
        try:
            pool = redis.ConnectionPool.from_url(url, decode_responses=True, client_name="observatory", **_unless_said(url))
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"OBSERVATORY_REDIS_URL cannot be used: {error}") from error
        self._redis = redis.Redis(connection_pool=pool, retry=Retry(NoBackoff(), 1))
        self._fold = self._redis.register_script((SCRIPTS / "fold.lua").read_text())
        self._read = self._redis.register_script((SCRIPTS / "read.lua").read_text())
        self._prefix = f"observatory:{{{source.rpartition(':')[2]}}}:"
        self._totals = f"{self._prefix}totals"
        self._instances, self._by_start = f"{self._prefix}instances", f"{self._prefix}instances-by-start"
        self._kept = max(kept_seconds, 60)
        self.address = url.partition("://")[2].rpartition("@")[2].partition("?")[0]

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def ping(self) -> None:
        await self._ask(self._redis.ping())

    async def condition(self) -> Condition:
        try:
            cursor = await self.cursor()
            facts = await self._ask(self._redis.info())
        except StatisticsUnavailable as error:
            mend = "start it, or correct OBSERVATORY_REDIS_URL; the metrics engine goes on by itself and counts what it missed"
            return Condition("statistics", f"Redis at {self.address}", FAIL, error.message, mend)
        return _judged(Condition("statistics", f"Redis {facts['redis_version']} at {self.address}", position=cursor), facts)

    async def _ask(self, answer: "Awaitable[Result] | Any") -> Any:
        """An answer that does not come, or is none, is StatisticsUnavailable."""
        try:
            return await answer
        except OutOfMemoryError as error:
            raise StatisticsUnavailable(
                f"the statistics store (Redis at {self.address}) is full, its maxmemory is reached: give it more, "
                "or keep minutes for a shorter time with OBSERVATORY_KEEP_STATISTICS_DAYS"
            ) from error
        except (AuthenticationError, NoPermissionError) as error:
            raise StatisticsUnavailable(
                f"the statistics store (Redis at {self.address}) refuses: {error}; look at user and password in OBSERVATORY_REDIS_URL"
            ) from error
        except (RedisError, OSError, TimeoutError) as error:
            raise StatisticsUnavailable(f"the statistics store (Redis at {self.address}) does not answer: {error or type(error).__name__}") from error

    # ---- folding ----------------------------------------------------------------------------------------------

    async def cursor(self) -> int:
        return (await self._life_and_cursor())[1]

    async def _life_and_cursor(self) -> tuple[str | None, int]:
        life, cursor = await self._ask(self._redis.hmget(self._totals, ["life", "cursor"]))
        return life, int(cursor or 0)

    async def apply(self, delta: Delta, after: int, upto: int) -> bool:
        life, cursor = await self._life_and_cursor()
        if cursor != after:
            return False
        totals, minutes = _fields_of(delta)
        if life is None:
            life = uuid.uuid4().hex[:8]
            minutes = await self._staged(life, minutes)
        keys = [self._totals, self._key(life, "minutes"), *(self._key(life, minute) for minute in minutes)]
        arguments: list[str | int] = [life, after, upto, TOTALS_SECONDS, self._kept]
        for minute, fields in ((ALL_TIME, totals), *minutes.items()):
            arguments += [minute, len(fields)]
            for field, value in fields.items():
                arguments += [field, value]
        return bool(await self._ask(self._fold(keys, arguments)))

    async def _staged(self, life: str, minutes: dict[int, dict[str, int]]) -> dict[int, dict[str, int]]:
        """Writes most of a large beginning beforehand: nobody reads a life that no totals name. Returns what is left to write."""
        if sum(map(len, minutes.values())) <= AT_ONCE:
            return minutes
        for minute, fields in minutes.items():
            key = self._key(life, minute)
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(key, mapping=cast("Mapping[Any, Any]", fields))
                pipe.expire(key, self._kept)
                await self._ask(pipe.execute())
        return {minute: {} for minute in minutes}

    def _key(self, life: str, minute: int | str) -> str:
        return f"{self._prefix}{life}:{minute}"

    # ---- reading ----------------------------------------------------------------------------------------------

    async def read(self, ranges: Sequence[tuple[int, int]]) -> Reading:
        totals, minutes = await self._snapshot(ranges)
        states = {cast(State, key): value for kind, key, value in _parsed(totals) if kind == STATE and value}
        minutes[ALL_TIME] = totals
        return Reading(int(totals.get("cursor", 0)), states, [_figures(minutes, first, last) for first, last in ranges])

    async def series(self, first: int, last: int) -> dict[int, dict[str, int]]:
        _, minutes = await self._snapshot([(first, last)])
        series: dict[int, dict[str, int]] = {}
        for minute, fields in minutes.items():
            for kind, key, value in _parsed(fields):
                if kind == SUM:
                    sums = series.setdefault(minute, {})
                    sums[key[2]] = sums.get(key[2], 0) + value
        return series

    async def whole(self) -> tuple[int, Delta]:
        totals, minutes = await self._snapshot([(ALL_TIME + 1, 1 << 53)])
        delta = Delta()
        for minute, fields in ((ALL_TIME, totals), *minutes.items()):
            for kind, key, value in _parsed(fields):
                if kind == STATE and value:
                    delta.states[cast(State, key)] = value
                elif kind == SUM:
                    delta.sums[cast(Any, (minute, *key))] = value
                elif kind == BUCKET:
                    delta.buckets[cast(Any, (minute, *key[:3], int(key[3])))] = value
        return int(totals.get("cursor", 0)), delta

    async def _snapshot(self, ranges: Iterable[tuple[int, int]]) -> tuple[dict[str, str], dict[int, dict[str, str]]]:
        """The totals, and each minute of the ranges, as they are in Redis."""
        arguments: list[str | int] = [self._prefix, *(bound for first, last in ranges for bound in (max(first, ALL_TIME + 1), last))]
        totals, minutes = await self._ask(self._read([self._totals], arguments))
        return _paired(totals), {int(minute): _paired(fields) for minute, fields in minutes}

    # ---- dropping ---------------------------------------------------------------------------------------------

    async def prune(self, before_minute: int) -> int:
        await self._drop_instances(await self._ask(self._redis.zrangebyscore(self._by_start, "-inf", f"({before_minute * MINUTE_MICROS}")))
        life, _ = await self._life_and_cursor()
        if life is None:
            return 0
        index = self._key(life, "minutes")
        old = await self._ask(self._redis.zrangebyscore(index, "-inf", f"({before_minute}", start=0, num=AT_ONCE))
        if not old:
            return 0
        keys = [self._key(life, minute) for minute in old]
        async with self._redis.pipeline(transaction=True) as pipe:
            for key in keys:
                pipe.hlen(key)
            pipe.unlink(*keys)
            pipe.zrem(index, *old)
            answers = await self._ask(pipe.execute())
        return sum(answers[: len(keys)])

    async def clear(self) -> None:
        life, _ = await self._life_and_cursor()
        await self._ask(self._redis.unlink(self._totals))  # from here on nothing of that life is read
        if life is not None:
            index = self._key(life, "minutes")
            while old := await self._ask(self._redis.zpopmin(index, AT_ONCE)):
                await self._ask(self._redis.unlink(*(self._key(life, minute) for minute, _ in old)))


    # ---- instances --------------------------------------------------------------------------------------------

    async def note_instance(self, instance: Instance) -> None:
        name = f"{instance.function}/{instance.instance}"
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._instances, name, strict_json.dumps_text(asdict(instance)))
            pipe.zadd(self._by_start, {name: instance.started_at})
            pipe.expire(self._instances, self._kept)
            pipe.expire(self._by_start, self._kept)
            await self._ask(pipe.execute())
        await self._drop_instances(await self._ask(self._redis.zrange(self._by_start, 0, -(MOST + 1))))

    async def instances(self) -> list[Instance]:
        names = await self._ask(self._redis.zrevrange(self._by_start, 0, MOST - 1))
        records = await self._ask(self._redis.hmget(self._instances, names)) if names else []
        return [Instance(**orjson.loads(record)) for record in records if record is not None]

    async def _drop_instances(self, names: Sequence[str]) -> None:
        if names:
            await self._ask(self._redis.hdel(self._instances, *names))
            await self._ask(self._redis.zrem(self._by_start, *names))


# ---- what Redis says of itself ----------------------------------------------------------------------------------


def _judged(condition: Condition, facts: Mapping[str, Any]) -> Condition:
    used, most, policy = facts["used_memory"], facts["maxmemory"], facts["maxmemory_policy"]
    if facts["role"] != "master":
        condition = condition.but(FAIL, "it is a replica and takes no writes", "name the primary in OBSERVATORY_REDIS_URL")
    if most and policy != "noeviction":
        mend = "set maxmemory-policy to noeviction: the statistics then wait instead"
        condition = condition.but(WARN, f"its maxmemory-policy {policy} forgets keys when memory is short", mend)
    if most and used >= NEARLY * most:
        mend = "give it more maxmemory, or keep minutes for a shorter time with OBSERVATORY_KEEP_STATISTICS_DAYS"
        condition = condition.but(FAIL if used >= most else WARN, f"{used / 2**20:.1f} of {most / 2**20:.1f} MiB of its maxmemory are used", mend)
    if facts.get("aof_enabled") and facts.get("aof_last_write_status") != "ok":
        condition = condition.but(WARN, "it cannot write its file", "make room on its disk: after a restart the statistics are rebuilt from the log")
    return condition


# ---- fields -----------------------------------------------------------------------------------------------------
# Names hold no bar (contracts/schemas/common.json); the last parts are measures and numbers.


def _fields_of(delta: Delta) -> tuple[dict[str, int], dict[int, dict[str, int]]]:
    """A delta as fields to add: of the totals, and of each minute."""
    totals = {"|".join((STATE, *state)): value for state, value in delta.states.items()}
    minutes: dict[int, dict[str, int]] = {}
    parts: tuple[tuple[str, Mapping[Any, int]], ...] = ((SUM, delta.sums), (BUCKET, delta.buckets))
    for kind, part in parts:
        for (minute, *key), value in part.items():
            fields = totals if minute == ALL_TIME else minutes.setdefault(minute, {})
            fields["|".join((kind, *map(str, key)))] = value
    return totals, minutes


def _parsed(fields: Mapping[str, str]) -> Iterable[tuple[str, tuple[str, ...], int]]:
    """(kind, key, value) of each field that is a figure."""
    for field, value in fields.items():
        kind, bar, key = field.partition("|")
        if bar:
            yield kind, tuple(key.split("|")), int(value)


def _figures(minutes: Mapping[int, Mapping[str, str]], first: int, last: int) -> Figures:
    figures = Figures()
    for minute, fields in minutes.items():
        if first <= minute <= last:
            for kind, key, value in _parsed(fields):
                if kind == SUM:
                    place = (key[0], key[1], key[2])
                    figures.sums[place] = figures.sums.get(place, 0) + value
                elif kind == BUCKET:
                    cell = (key[0], key[1], key[2], int(key[3]))
                    figures.buckets[cell] = figures.buckets.get(cell, 0) + value
    return figures


def _paired(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _unless_said(url: str) -> dict[str, Any]:
    """Our timeouts, but those that the URL names."""
    said = url.partition("?")[2]
    return {name: value for name, value in _TIMEOUTS.items() if f"{name}=" not in said}
