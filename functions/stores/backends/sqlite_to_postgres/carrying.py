"""One way of a data folder into PostgreSQL: checks, batches, and the end, at which the database becomes the folder's deployment.

Each batch is a transaction that also says how far it came, so whatever is killed goes on there. Only the last one writes the row of
`deployment`, once every table holds as many rows as the folder; before it nothing can start on the database.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from contracts.errors import ConfigurationError, ObservatoryError, StoreUnavailable
from contracts.times import to_rfc3339
from functions.stores import faults
from functions.stores.backends import postgres_migrations as migrations
from functions.stores.backends.postgres_alone import Alone
from functions.stores.backends.postgres_connection import PostgresConnection
from functions.stores.backends.postgres_database import PostgresDatabase, answering, words_of
from functions.stores.backends.sqlite_to_postgres.folder import Folder, Found, opened
from functions.stores.backends.sqlite_to_postgres.parts import PARTS, SPAN, Part

SECONDS = 3_600.0  # for the longest statement: an index over everything that was carried
LOCK_SECONDS = 10.0
Progress = Callable[[str, int, int], None]
_OTHERS = ("placed", "unplaced", "statistics_states", "statistics_sums", "statistics_buckets", "statistics_cursor")  # what a living system fills besides
_EMPTY = "How to empty it: DROP SCHEMA observatory CASCADE (which deletes all that it holds), or name a new database"
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_PLACES = f"""
    INSERT INTO observatory.placed (last, events, commit_id)
    SELECT least(commit_id * {SPAN}, %(head)s), least(commit_id * {SPAN}, %(head)s) - (commit_id - 1) * {SPAN}, commit_id
    FROM observatory.events GROUP BY commit_id"""


@dataclass(frozen=True, slots=True)
class Report:
    """What was carried, or (`rehearsed`) would be: (table, rows in the folder, rows in the database) each. `resumed`: an earlier run had
    begun; `was_there`: an earlier run had done it all."""

    source: str
    place: str
    tables: list[tuple[str, int, int]]
    head: int
    resumed: bool = False
    was_there: bool = False
    rehearsed: bool = False

    def as_json(self) -> dict[str, Any]:
        tables = [{"table": name, "folder": folder, "database": database} for name, folder, database in self.tables]
        return {"source": self.source, "database": self.place, "head": self.head, "resumed": self.resumed, "was_there": self.was_there,
                "dry_run": self.rehearsed, "tables": tables}  # fmt: skip


@dataclass(slots=True)
class Mark:
    """What an earlier run left: whose folder, what it held, and how far it came."""

    source: str
    found: dict[str, Any]
    done: dict[str, Any]
    ended_at: int | None


class Carrier:
    """From the data file `file`, which nobody uses meanwhile, into `database`, whose layout it makes if it may (`migrate`). `progress` hears
    of every batch."""

    def __init__(self, file: Path, database: PostgresDatabase, progress: Progress, *, migrate: bool = True) -> None:
        self._file, self._database, self._progress = file, database, progress
        self._lay_out = migrations.migrate if migrate else migrations.check

    async def rehearse(self) -> Report:
        """All checks, and what there would be to do; writes nothing. Raises as `carry`."""
        with opened(self._file) as folder, _faults():
            found = folder.found()
            async with self._target() as connection:
                laid_out = await _one(connection, "SELECT to_regclass('observatory.migrations') IS NOT NULL")
                mark = None
                if laid_out:
                    await migrations.check(self._database)
                    mark = await self._mark(connection, folder, found)
                there = await _counted(connection) if mark is not None else dict.fromkeys(found.rows, 0)
            return self._report(folder, found, there, mark, rehearsed=True)

    async def carry(self) -> Report:
        """Raises ConfigurationError with what to do: the database is not empty, a system runs on it, the folder is another version's;
        StoreUnavailable, after which another run goes on where this one was."""
        with opened(self._file) as folder, _faults():
            found = folder.found()
            await self._lay_out(self._database)
            async with self._target() as connection:
                mark = await self._mark(connection, folder, found)
                if mark is None or mark.ended_at is None:
                    done = await self._begin(connection, folder, found, mark)
                    for part in PARTS:
                        await self._carry(connection, folder, part, found.rows[part.name], done)
                    await self._end(connection, folder, found)
                return self._report(folder, found, await _counted(connection), mark)

    @contextlib.asynccontextmanager
    async def _target(self) -> AsyncIterator[PostgresConnection]:
        """A connection that keeps every system, and every other run of this, out of the database."""
        alone, link = Alone(self._database), self._database.link(statement=SECONDS, lock=LOCK_SECONDS)
        try:
            await alone.take()
            yield await link.connection()
        finally:
            await link.drop()
            await alone.give()

    def _report(self, folder: Folder, found: Found, there: dict[str, int], mark: Mark | None, *, rehearsed: bool = False) -> Report:
        tables = [(part.name, found.rows[part.name], there[part.name]) for part in PARTS]
        was_there = mark is not None and mark.ended_at is not None
        resumed = mark is not None and not was_there and mark.found == found.as_json()
        return Report(folder.source, self._database.place, tables, found.head, resumed, was_there, rehearsed)

    # ---- before ------------------------------------------------------------------------------------------------

    async def _mark(self, connection: PostgresConnection, folder: Folder, found: Found) -> Mark | None:
        """What an earlier run left, once a batch of it that is still under way is there; None when the database is empty. Raises
        ConfigurationError when it may not be carried into."""
        row = await _row(connection, "SELECT source, found, done, ended_at FROM observatory.carried FOR UPDATE")
        if row is None:
            await self._check_empty(connection)
            return None
        mark = Mark(row[0], json.loads(row[1]), json.loads(row[2]), row[3])
        place = self._database.place
        if mark.source != folder.source:
            state = "holds" if mark.ended_at else "holds a part of"
            raise ConfigurationError(f"{place} {state} another data folder ({mark.source}), and this one is {folder.source}. {_EMPTY}")
        if mark.ended_at and mark.found != found.as_json():
            raise ConfigurationError(
                f"this folder was carried over into {place} at {to_rfc3339(mark.ended_at)}, and a system has worked on it since, so each of the two"
                f" holds what the other does not. To throw away what the database holds and carry the folder over again: {_EMPTY[17:]}"
            )
        return mark

    async def _check_empty(self, connection: PostgresConnection) -> None:
        filled = [name for name in (*(part.name for part in PARTS), *_OTHERS) if await _one(connection, f"SELECT EXISTS (SELECT 1 FROM observatory.{name})")]
        if filled:
            jobs, events = [await _one(connection, f"SELECT count(*) FROM observatory.{name}") for name in ("jobs", "events")]
            raise ConfigurationError(
                f"{self._database.place} is not empty: a system has been started on it ({jobs} jobs, {events} events; rows in {', '.join(filled)})."
                f" A data folder is carried over into an empty database only. {_EMPTY}"
            )

    async def _begin(self, connection: PostgresConnection, folder: Folder, found: Found, mark: Mark | None) -> dict[str, Any]:
        """How far each table is here. A folder that has changed since an unfinished run begins anew."""
        if mark is not None and mark.found == found.as_json():
            return mark.done
        async with connection.transaction():
            if mark is not None:
                await _do(connection, f"TRUNCATE {', '.join(f'observatory.{part.name}' for part in PARTS)}, observatory.carried")
            await _do(connection, "DELETE FROM observatory.deployment")
            sql = f"INSERT INTO observatory.carried (source, found, done, begun_at) VALUES (%(source)s, %(found)s, '{{}}', {_NOW})"
            await _do(connection, sql, source=folder.source, found=json.dumps(found.as_json()))
        return {}

    # ---- the batches -------------------------------------------------------------------------------------------

    async def _carry(self, connection: PostgresConnection, folder: Folder, part: Part, total: int, done: dict[str, Any]) -> None:
        """What is not there yet of a table."""
        rows, last = done.get(part.name, {"rows": 0, "last": None}).values()
        while batch := folder.read(part, last):
            rows, last = rows + len(batch), part.key_of(batch[-1])
            done[part.name] = {"rows": rows, "last": last}
            async with connection.transaction():
                async with connection.cursor().copy(part.copied().encode()) as copy:
                    for row in batch:
                        await copy.write_row(part.row(row))
                await _do(connection, "UPDATE observatory.carried SET done = %(done)s", done=json.dumps(done))
                faults.reach("inserted")
            faults.reach("committed")
            self._progress(part.name, rows, max(total, rows))

    # ---- the end -----------------------------------------------------------------------------------------------

    async def _end(self, connection: PostgresConnection, folder: Folder, found: Found) -> None:
        """Places in the feed, the next numbers, and whose database this is; after that a system may start on it."""
        async with connection.transaction():
            there = await _counted(connection)
            for name, rows in found.rows.items():
                if there[name] != rows:
                    raise ObservatoryError(f"{self._database.place} holds {there[name]} rows of {name}, and the folder {rows}: somebody else has written"
                                           f" there. {_EMPTY}, and carry the folder over again")  # fmt: skip
            await _do(connection, _PLACES, head=found.head)
            await _do(connection, "UPDATE observatory.head SET position = %(head)s", head=found.head)
            await _do(connection, "SELECT setval('observatory.commit_ids', %(next)s, false)", next=-(-found.head // SPAN) + 1)
            await _do(connection, "SELECT setval(pg_get_serial_sequence('observatory.jobs', 'number'),"
                      " (SELECT coalesce(max(number), 0) + 1 FROM observatory.jobs), false)")  # fmt: skip
            await _do(connection, "INSERT INTO observatory.deployment (source, made_at) VALUES (%(source)s, %(made_at)s)",
                      source=folder.source, made_at=folder.made_at)  # fmt: skip
            await _do(connection, f"UPDATE observatory.carried SET ended_at = {_NOW}")
            faults.reach("inserted")
        faults.reach("committed")
        for part in PARTS:
            await _do(connection, f"ANALYZE observatory.{part.name}")


@contextlib.contextmanager
def _faults() -> Any:
    try:
        with answering():
            yield
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{error.message}; what was carried so far stays: run it again, and it goes on there") from error
    except psycopg.Error as error:
        raise ObservatoryError(f"PostgreSQL refuses: {words_of(error)}") from error


async def _do(connection: PostgresConnection, sql: str, **values: Any) -> None:
    await connection.execute(sql.encode(), values or None)


async def _row(connection: PostgresConnection, sql: str) -> Any:
    return await (await connection.execute(sql.encode())).fetchone()


async def _one(connection: PostgresConnection, sql: str) -> Any:
    return (await _row(connection, sql))[0]


async def _counted(connection: PostgresConnection) -> dict[str, int]:
    """How many rows of each table are there. What is counted is what was carried."""
    return {part.name: await _one(connection, f"SELECT count(*) FROM observatory.{part.name}") for part in PARTS}
