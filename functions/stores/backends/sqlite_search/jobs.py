"""What the job store's file says to the search: what changed since the index, who is who, when it was accepted."""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson

from contracts.job import JOB_FIELDS, Job
from functions.stores.backends import sqlite_rows as rows
from functions.stores.backends.sqlite_database import one
from functions.stores.search.bits import BLOCK
from functions.stores.search.entries import RAW

_WHOLE = f"SELECT number, {rows.COLUMNS} FROM jobs"
_HEAVY = ("payload", "result", "error", "progress", "depends_on", "backoff")


_RAW = f"json_array({', '.join(RAW)}, (SELECT json_group_array(output) FROM attempts WHERE job_id = jobs.id AND output IS NOT NULL))"


class SqliteJobRows:
    """The rows that `connection` sees."""

    disorder_micros = 0  # one writer: numbers are given in the order of acceptance

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def next_number(self) -> int:
        """One more than the number of the newest job."""
        return (one(self._connection, "SELECT max(number) FROM jobs") or 0) + 1

    def head(self) -> int:
        return one(self._connection, "SELECT max(position) FROM events") or 0

    def changed_since(self, position: int, first: int, before: int) -> list[int]:
        """The numbers, newest first, of jobs with an event past a position, from `first` up to `before`.

        (`+` keeps SQLite from walking the index of streams, which has every event there ever was.)
        """
        found = one(
            self._connection,
            """SELECT json_group_array(number) FROM jobs WHERE number >= ? AND number < ? AND id IN
                   (SELECT substr(stream, 5) FROM events WHERE position > ? AND +stream >= 'job/' AND +stream < 'job0')""",
            (first, before, position),
        )
        return sorted(orjson.loads(found), reverse=True)

    def changes_after(self, position: int, limit: int) -> tuple[int, list[str]]:
        """The ids of jobs of the next events, and the position of the last of them."""
        last, ids = self._connection.execute(
            """SELECT max(position), json_group_array(DISTINCT substr(stream, 5)) FILTER (WHERE stream >= 'job/' AND stream < 'job0')
               FROM (SELECT position, stream FROM events WHERE position > ? ORDER BY position LIMIT ?)""",
            (position, limit),
        ).fetchone()
        return last or position, orjson.loads(ids)

    def number_of(self, job_id: str) -> tuple[int, bool] | None:
        """A job's number, and whether it is the first of its family."""
        row = self._connection.execute("SELECT number, root_id = id FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else (row[0], bool(row[1]))

    def numbers_of(self, ids: Collection[str], before: int) -> list[int]:
        """The numbers of jobs by their ids, newest first, below `before`."""
        sql = "SELECT number FROM jobs WHERE id IN (SELECT value FROM json_each(?)) AND number < ? ORDER BY number DESC"
        return [number for (number,) in self._connection.execute(sql, (_json(ids), before)).fetchall()]

    def first_since(self, instant: int) -> int:
        """The lowest number that was accepted at an instant or later: numbers grow with the time of acceptance."""
        low, high = one(self._connection, "SELECT min(number) FROM jobs") or 1, self.next_number()
        while low < high:
            middle = (low + high) // 2
            row = self._connection.execute("SELECT number, created_at FROM jobs WHERE number >= ? LIMIT 1", (middle,)).fetchone()
            if row is None or row[1] >= instant:
                high = middle
            else:
                low = row[0] + 1
        return low

    def there_in(self, block: int) -> list[int]:
        """The offsets of a block's jobs that are there."""
        first = block * BLOCK
        sql = "SELECT json_group_array(number - ?1) FROM jobs WHERE number >= ?1 AND number < ?1 + ?2"
        offsets: list[int] = orjson.loads(one(self._connection, sql, (first, BLOCK)))
        return offsets

    def load(self, numbers: Iterable[int]) -> list[tuple[int, Job]]:
        """(number, job) of those that are there, newest first."""
        sql = f"{_WHOLE} WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number DESC"
        return [(row[0], rows.job_of(row[1:])) for row in self._connection.execute(sql, (_json(numbers),)).fetchall()]

    def states(self, numbers: Iterable[int]) -> list[tuple[str, str]]:
        """(id, status) of those that are there, newest first."""
        sql = "SELECT id, status FROM jobs WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number DESC"
        return self._connection.execute(sql, (_json(numbers),)).fetchall()

    def looker(self, needs: Collection[str], *, outputs: bool) -> "SqliteLooker":
        return SqliteLooker(self._connection, needs, outputs=outputs)

    def raw_of(self, ids: Iterable[str]) -> list[Sequence[Any]]:
        return self._raw("id IN (SELECT value FROM json_each(?))", (_json(ids),))

    def raw_between(self, first: int, end: int) -> list[Sequence[Any]]:
        return self._raw("number >= ? AND number < ?", (first, end))

    def _raw(self, where: str, values: Sequence[object]) -> list[Sequence[Any]]:
        packed: list[Sequence[Any]] = orjson.loads(one(self._connection, f"SELECT json_group_array({_RAW}) FROM jobs WHERE {where}", values))
        return packed

    def dropped(self) -> int:
        """How many jobs retention dropped, ever."""
        return one(self._connection, "SELECT sum(jobs) FROM checkpoints") or 0


def newest(connection: sqlite3.Connection, before: int, limit: int) -> list[tuple[int, Job]]:
    """(number, job) of the newest below a number."""
    found = connection.execute(f"{_WHOLE} WHERE number < ? ORDER BY number DESC LIMIT ?", (before, limit))
    return [(row[0], rows.job_of(row[1:])) for row in found.fetchall()]


class SqliteLooker:
    """Loads of jobs what a query looks at, and no more: `needs` are the heavy columns, `outputs` what attempts printed."""

    def __init__(self, connection: sqlite3.Connection, needs: Collection[str], *, outputs: bool) -> None:
        self._connection, self._outputs = connection, outputs
        columns = ", ".join(name if name not in _HEAVY or name in needs else "NULL" for name in JOB_FIELDS)
        self._select = f"SELECT number, {columns} FROM jobs"

    def of(self, numbers: Iterable[int]) -> list[tuple[int, Job]]:
        """(number, job), newest first."""
        return self._read("WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number DESC", (_json(numbers),))

    def below(self, before: int, limit: int) -> list[tuple[int, Job]]:
        """The newest below a number."""
        return self._read("WHERE number < ? ORDER BY number DESC LIMIT ?", (before, limit))

    def outputs(self, jobs: Sequence[tuple[int, Job]]) -> dict[str, list[str]]:
        """Job id -> what its attempts printed; empty when nobody asks."""
        found: dict[str, list[str]] = {}
        if self._outputs:
            sql = "SELECT job_id, output FROM attempts WHERE job_id IN (SELECT value FROM json_each(?)) AND output IS NOT NULL"
            for job_id, output in self._connection.execute(sql, (_json(job.id for _, job in jobs),)).fetchall():
                found.setdefault(job_id, []).append(output)
        return found

    def _read(self, tail: str, values: Sequence[object]) -> list[tuple[int, Job]]:
        return [(row[0], rows.job_of(row[1:])) for row in self._connection.execute(f"{self._select} {tail}", values).fetchall()]


def _json(values: Iterable[object]) -> str:
    return orjson.dumps(list(values)).decode()
