"""`StatsStore` on SQLite, in the same file as the jobs: a fold's writes join a commit that happens anyway."""

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict

from contracts.errors import StoreUnavailable
from contracts.statistics import ALL_TIME, MINUTE_MICROS, Delta, Figures, State
from functions.stores.backends.sqlite_database import SqliteDatabase, one
from functions.stores.backends.sqlite_records import advance
from functions.stores.backends.sqlite_state import SqlWrite
from functions.stores.backends.sqlite_tables import PARTS, STATISTICS, add_delta, read_delta, read_part
from functions.stores.condition import FAIL, Condition
from functions.stores.instances import MOST, Instance
from functions.stores.job_store import STATISTICS_CURSOR
from functions.stores.stats_store import Reading


class SqliteStatsStore:
    """Statistics in the tables `statistics_*` of `database`, which the job store opens and closes."""

    elsewhere = False

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def close(self) -> None:
        """The job store closes the file."""

    async def ping(self) -> None:
        await self.cursor()

    async def condition(self) -> Condition:
        try:
            return Condition("statistics", "SQLite, beside the jobs", position=await self.cursor())
        except StoreUnavailable as error:
            return Condition("statistics", "SQLite, beside the jobs", FAIL, error.message, "look at the data folder: its disk may be full")

    async def cursor(self) -> int:
        return await self._database.read(_cursor)

    async def apply(self, delta: Delta, after: int, upto: int) -> bool:
        return bool(await self._database.ask(SqlWrite(lambda connection: _apply(connection, delta, after, upto), lazy=True)))

    async def read(self, ranges: Sequence[tuple[int, int]]) -> Reading:
        return await self._database.read(
            lambda connection: Reading(_cursor(connection), _states(connection), [_figures(connection, *part) for part in ranges])
        )

    async def series(self, first: int, last: int) -> dict[int, dict[str, int]]:
        return await self._database.read(lambda connection: _series(connection, first, last))

    async def whole(self) -> tuple[int, Delta]:
        return await self._database.read(lambda connection: (_cursor(connection), read_delta(connection, STATISTICS)))

    async def prune(self, before_minute: int) -> int:
        return int(await self._database.ask(SqlWrite(lambda connection: _prune(connection, before_minute), lazy=True)))

    async def note_instance(self, instance: Instance) -> None:
        await self._database.ask(SqlWrite(lambda connection: _note(connection, instance), lazy=True))

    async def instances(self) -> list[Instance]:
        return await self._database.read(_instances)

    async def clear(self) -> None:
        await self._database.ask(SqlWrite(_clear))


# ---- writing ----------------------------------------------------------------------------------------------------


def _apply(connection: sqlite3.Connection, delta: Delta, after: int, upto: int) -> bool:
    if _cursor(connection) != after:
        return False
    add_delta(connection, STATISTICS, delta)
    connection.execute("INSERT INTO statistics_cursor VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET position = excluded.position", (upto,))
    advance(connection, STATISTICS_CURSOR, upto)  # the copy that retention and the scheduler go by
    return True


def _note(connection: sqlite3.Connection, instance: Instance) -> None:
    connection.execute("INSERT OR REPLACE INTO instances (function, instance, started_at, first_request_at, stopped_at, start_seconds)"
                       " VALUES (:function, :instance, :started_at, :first_request_at, :stopped_at, :start_seconds)", asdict(instance))  # fmt: skip


def _prune(connection: sqlite3.Connection, before_minute: int) -> int:
    connection.execute("DELETE FROM instances WHERE started_at < ?", (before_minute * MINUTE_MICROS,))
    return sum(
        connection.execute(f"DELETE FROM {table} WHERE minute > ? AND minute < ?", (ALL_TIME, before_minute)).rowcount
        for table in ("statistics_sums", "statistics_buckets")
    )


def _clear(connection: sqlite3.Connection) -> None:
    for part in PARTS:
        connection.execute(f"DELETE FROM {STATISTICS}_{part}")
    connection.execute("DELETE FROM statistics_cursor")
    connection.execute("DELETE FROM cursors WHERE name = ?", (STATISTICS_CURSOR,))


# ---- reading ----------------------------------------------------------------------------------------------------


def _cursor(connection: sqlite3.Connection) -> int:
    return one(connection, "SELECT position FROM statistics_cursor") or 0


def _states(connection: sqlite3.Connection) -> dict[State, int]:
    return read_part(connection, STATISTICS, "states")


def _figures(connection: sqlite3.Connection, first: int, last: int) -> Figures:
    sums = connection.execute(
        "SELECT queue, type, measure, sum(value) FROM statistics_sums WHERE minute BETWEEN ? AND ? GROUP BY 1, 2, 3", (first, last)
    )
    buckets = connection.execute(
        "SELECT queue, type, measure, bucket, sum(count) FROM statistics_buckets WHERE minute BETWEEN ? AND ? GROUP BY 1, 2, 3, 4",
        (first, last),
    )
    return Figures({row[:3]: row[3] for row in sums}, {row[:4]: row[4] for row in buckets})


def _instances(connection: sqlite3.Connection) -> list[Instance]:
    found = connection.execute(
        "SELECT function, instance, started_at, first_request_at, stopped_at, start_seconds FROM instances ORDER BY started_at DESC LIMIT ?", (MOST,)
    )
    return [Instance(*row) for row in found]


def _series(connection: sqlite3.Connection, first: int, last: int) -> dict[int, dict[str, int]]:
    found = connection.execute(
        "SELECT minute, measure, sum(value) FROM statistics_sums WHERE minute BETWEEN ? AND ? GROUP BY 1, 2", (first, last)
    )
    series: dict[int, dict[str, int]] = {}
    for minute, measure, value in found:
        series.setdefault(minute, {})[measure] = value
    return series
