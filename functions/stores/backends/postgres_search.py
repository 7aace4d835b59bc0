"""Search on PostgreSQL: looks at jobs one by one, newest first, for as long as a query may take."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contracts.errors import IndexBehind, QueryTooSlow
from contracts.job import Job
from contracts.query import Query
from functions.stores.backends.postgres_database import PostgresDatabase, Snapshot
from functions.stores.rows import job_of

QUERY_SECONDS = 2.0
MATCHING_SECONDS = 60.0  # of all that fit, instead of a page
LOOK_AT = 500
ABOVE_ALL = (1 << 62) - 1
Shown = Callable[[str, Any], Any]


@dataclass(frozen=True, slots=True)
class Found:
    """(number, job), newest first."""

    jobs: list[tuple[int, Job]]
    indexed_to: int
    head: int


class PostgresSearch:
    def __init__(self, database: PostgresDatabase, *, seconds: float = QUERY_SECONDS) -> None:
        self._database, self._seconds = database, seconds
        self._shown: Shown | None = None

    async def open(self, shown: Shown, version: str) -> None:
        self._shown = shown

    async def close(self) -> None:
        return None

    async def find(self, query: Query, now: int, before: int, most: int) -> Found:
        """Raises QueryTooSlow, IndexBehind, StoreUnavailable."""
        found: list[tuple[int, Job]] = []
        async with self._database.snapshot() as snapshot:
            head = (await snapshot.rows("head"))[0][0]
            async for jobs in self._looked_at(snapshot, query, now, before, self._seconds):
                found += jobs
                if len(found) >= most:
                    break
        return Found(found[:most], 0, head)

    async def matching(self, query: Query, now: int) -> list[tuple[str, str]]:
        """(id, status) of every job that fits, newest first, from one snapshot. Raises as `find`, after a minute."""
        async with self._database.snapshot() as snapshot:
            looked_at = self._looked_at(snapshot, query, now, ABOVE_ALL, max(self._seconds, MATCHING_SECONDS))
            return [(job.id, job.status) async for jobs in looked_at for _, job in jobs]

    async def _looked_at(self, snapshot: Snapshot, query: Query, now: int, before: int, seconds: float) -> AsyncIterator[list[tuple[int, Job]]]:
        """The jobs that fit, some at a time."""
        if self._shown is None and query.reads_text:
            raise IndexBehind("the search index is not open yet; try again")
        end = time.monotonic() + seconds
        rows: Sequence[Any] = [(before,)]
        while rows:
            if time.monotonic() > end:
                raise QueryTooSlow(f"the query was not answered within {seconds:g} s; narrow it, for instance by age or type")
            rows = await snapshot.rows("jobs_before", before=rows[-1][0], limit=LOOK_AT)
            yield await self._fitting(snapshot, query, rows, now)

    async def _fitting(self, snapshot: Snapshot, query: Query, rows: Sequence[Any], now: int) -> list[tuple[int, Job]]:
        jobs = [(row[0], job_of(row[1:])) for row in rows]
        if query.is_everything:
            return jobs
        outputs = await self._outputs(snapshot, [job.id for _, job in jobs]) if query.reads_output else {}
        return [(number, job) for number, job in jobs if query.matches(self._seen(job), now=now, outputs=outputs.get(job.id, ()))]

    def _seen(self, job: Job) -> Job:
        if self._shown is None:
            return job
        shown = self._shown(job.type, job.payload)
        return job if shown is job.payload else replace(job, payload=shown)

    @staticmethod
    async def _outputs(snapshot: Snapshot, ids: Collection[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for job_id, output in await snapshot.rows("outputs", ids=sorted(ids)):
            found.setdefault(job_id, []).append(bytes(output).decode())
        return found
