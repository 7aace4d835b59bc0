"""`StatsStore` on PostgreSQL, beside the jobs, where there is no Redis: a fold's writes join a commit that happens anyway."""

from collections.abc import Sequence
from dataclasses import asdict

from contracts.errors import StoreUnavailable
from contracts.statistics import MINUTE_MICROS, Delta, Figures
from functions.stores.backends import postgres_tables as tables
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.backends.postgres_reading import by_state
from functions.stores.backends.postgres_statements import call
from functions.stores.backends.postgres_transaction import Transaction
from functions.stores.backends.postgres_work import SqlWrite
from functions.stores.condition import FAIL, Condition
from functions.stores.instances import MOST, Instance
from functions.stores.job_store import STATISTICS_CURSOR
from functions.stores.stats_store import Reading

_CURSOR = call("statistics_cursor")


class PostgresStatsStore:
    """Statistics in the database of `store`, which is opened and closed by itself."""

    elsewhere = False

    def __init__(self, store: PostgresJobStore) -> None:
        self._store, self._database = store, store.database

    async def close(self) -> None:
        """The job store closes the database."""

    async def ping(self) -> None:
        await self.cursor()

    async def condition(self) -> Condition:
        where = f"PostgreSQL, beside the jobs ({self._database.place})"
        try:
            return Condition("statistics", where, position=await self.cursor())
        except StoreUnavailable as error:
            return Condition("statistics", where, FAIL, error.message, "look at OBSERVATORY_POSTGRES_URL and whether that server runs")

    async def cursor(self) -> int:
        return int((await self._database.read(_CURSOR))[0][0][0])

    async def apply(self, delta: Delta, after: int, upto: int) -> bool:
        return bool(await self._store.write(SqlWrite(lambda transaction, now: _apply(transaction, delta, after, upto), lazy=True)))

    async def read(self, ranges: Sequence[tuple[int, int]]) -> Reading:
        between = [call(name, first=first, last=last) for first, last in ranges for name in ("sums_between", "buckets_between")]
        cursor, states, *parts = await self._database.read(_CURSOR, call("statistics_states"), *between)
        figures = [
            Figures({tuple(row[:3]): row[3] for row in sums}, {tuple(row[:4]): row[4] for row in buckets})
            for sums, buckets in zip(parts[::2], parts[1::2], strict=True)
        ]
        return Reading(cursor[0][0], by_state(states), figures)

    async def series(self, first: int, last: int) -> dict[int, dict[str, int]]:
        series: dict[int, dict[str, int]] = {}
        for minute, measure, value in await self._database.rows("series", first=first, last=last):
            series.setdefault(minute, {})[measure] = value
        return series

    async def whole(self) -> tuple[int, Delta]:
        cursor, *parts = await self._database.read(_CURSOR, *tables.reads(tables.STATISTICS))
        return cursor[0][0], tables.delta_of(parts)

    async def prune(self, before_minute: int) -> int:
        return int(await self._store.write(SqlWrite(lambda transaction, now: _prune(transaction, before_minute), lazy=True)))

    async def note_instance(self, instance: Instance) -> None:
        await self._store.write(SqlWrite(lambda transaction, now: transaction.add("note_instance", **asdict(instance)), lazy=True))

    async def instances(self) -> list[Instance]:
        return [Instance(*row) for row in await self._database.rows("instances", limit=MOST)]

    async def clear(self) -> None:
        await self._store.write(SqlWrite(_clear))


async def _apply(transaction: Transaction, delta: Delta, after: int, upto: int) -> bool:
    transaction.add("lock_statistics")
    ((cursor,),) = (await transaction.ask(_CURSOR))[0]
    if cursor != after:
        return False
    tables.add_delta(transaction, tables.STATISTICS, delta)
    transaction.add("move_statistics_cursor", position=upto)
    transaction.add("advance", name=STATISTICS_CURSOR, position=upto)  # the copy that retention and the scheduler go by
    return True


async def _prune(transaction: Transaction, before_minute: int) -> int:
    transaction.add("drop_instances", before=before_minute * MINUTE_MICROS)
    return sum(map(len, await transaction.ask(*tables.drop_minutes(tables.STATISTICS, before_minute))))


def _clear(transaction: Transaction, now: int) -> None:
    transaction.add("lock_statistics")
    transaction.add("clear_statistics")
    transaction.add("forget_cursor", name=STATISTICS_CURSOR)
