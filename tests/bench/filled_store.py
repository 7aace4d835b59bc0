"""A data folder that already holds many ended jobs: made once through the product's own store, kept, and copied.

The jobs end like those of real days: most succeed, some fail in their last attempt, some are cancelled; their instants
lie in the five days before. Statistics and the publish cursor stand at the head, as they do in a system at rest.
"""

import asyncio
import hashlib
import json
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from contracts import validation
from contracts.event import Event
from contracts.job import Job, JobRequest
from contracts.statistics import fold
from functions.runtime.data_folder import DATABASE
from functions.stores.backends.sqlite_database import MIGRATIONS
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.clock import wall_clock
from functions.stores.job_store import PUBLISH_CURSOR
from functions.stores.moves import Ending

MADE_BY = 1  # raise it when other jobs are wanted: kept folders of another number are not used
SPAN_SECONDS = 5 * 86_400
BATCH = 1_000
QUEUES = ("default", "bulk", "io")
FOLD_EVERY = 10

Say = Callable[[str], None]


def default_cache() -> Path:
    """Where filled folders are kept: on a disk, because a store in memory would fsync nothing."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "observatory-bench"


class Likeness(Protocol):
    """What the jobs of a store are like; `name` tells kept folders apart."""

    name: str

    def request(self, chance: random.Random) -> JobRequest: ...
    def ending(self, job: Job, chance: random.Random) -> Ending: ...


class PlainJobs:
    """Most do nothing, and hardly one says a word."""

    name = "plain"

    def request(self, chance: random.Random) -> JobRequest:
        kind = chance.random()
        if kind < 0.7:
            return JobRequest("demo.noop", {}, max_attempts=1)
        if kind < 0.9:
            return JobRequest("text.statistics", {"text": "a few words"}, queue="bulk", max_attempts=1)
        return JobRequest("demo.noop", {"echo": chance.randrange(1_000_000)}, max_attempts=1, tags=["nightly"])

    def ending(self, job: Job, chance: random.Random) -> Ending:
        ran, kind = chance.randrange(20, 40_000), chance.random()
        if kind < 0.01:
            return Ending(job.id, job.lease_token, "cancelled", ran_micros=ran, instance="filling", worker="worker-1")
        if kind < 0.04:
            error = {"type": "ValueError", "message": "the input was not as expected", "traceback": None}
            return Ending(job.id, job.lease_token, "failed", error=error, ran_micros=ran, instance="filling", worker="worker-1")
        return Ending(job.id, job.lease_token, "succeeded", result={"words": 3}, ran_micros=ran, instance="filling", worker="worker-1")


def filled_folder(jobs: int, cache: Path, say: Say, likeness: Likeness | None = None) -> Path:
    """The kept data folder with so many ended jobs; it is made when it is not there."""
    like = likeness or PlainJobs()
    folder = cache / f"{jobs}-{like.name}-jobs-{_layout()}"
    if (folder / "made").exists():
        return folder
    say(f"making a store with {jobs:,} ended jobs in {folder} (once; some 6 minutes a million)")
    making = Path(tempfile.mkdtemp(prefix="making-", dir=_made(cache)))
    try:
        asyncio.run(_fill(making / DATABASE, jobs, say, like))
        (making / "made").write_text(json.dumps({"jobs": jobs}))
        making.rename(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return folder


def fresh_copy(filled: Path, target: Path) -> None:
    """A copy of a filled folder, on the disk before this returns: its write-back would slow what is measured."""
    target.mkdir(parents=True)
    shutil.copyfile(filled / DATABASE, target / DATABASE)
    for path in (target / DATABASE, target):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _layout() -> str:
    digest = hashlib.sha256(str(MADE_BY).encode())
    for step in sorted(MIGRATIONS.glob("*.sql")):
        digest.update(step.read_bytes())
    return digest.hexdigest()[:10]


class _PastDays:
    """A clock that the filling sets."""

    def __init__(self) -> None:
        self.now = wall_clock() - (SPAN_SECONDS + 3_600) * 1_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now

    def pass_micros(self, micros: int) -> None:
        self.now += micros


async def _fill(path: Path, jobs: int, say: Say, like: Likeness) -> None:
    clock = _PastDays()
    chance = random.Random(4)
    store = SqliteJobStore.at(path, check=validation.validate_event, clock=clock, uniform=chance.random)
    await store.open()
    committed: list[Event] = []
    store.on_committed(committed.extend)
    stats = SqliteStatsStore(store.database)
    folded, done, began = 0, 0, time.monotonic()
    batches = -(-jobs // BATCH)
    for number in range(batches):
        await _live(store, clock, chance, min(BATCH, jobs - done), like)
        done += min(BATCH, jobs - done)
        clock.pass_micros(SPAN_SECONDS * 1_000_000 // batches)
        if number % FOLD_EVERY == FOLD_EVERY - 1 or done == jobs:
            folded = await _fold(stats, committed, folded)
        if number % 100 == 99:
            say(f"  {done:,} jobs, {done / (time.monotonic() - began):,.0f} a second")
    await store.advance(PUBLISH_CURSOR, await store.head())
    await store.close()
    _settle(path)


async def _live(store: SqliteJobStore, clock: _PastDays, chance: random.Random, jobs: int, like: Likeness) -> None:
    """A batch of jobs from submission to end."""
    await store.submit([like.request(chance) for _ in range(jobs)])
    clock.pass_micros(chance.randrange(2_000, 90_000))
    again = True
    while again:
        again = False
        for queue in QUEUES:
            claimed = await store.claim(queue, jobs, worker="worker-1", instance="filling", lease_seconds=15)
            clock.pass_micros(chance.randrange(1_000, 60_000))
            outcomes = await store.end_attempts([like.ending(job, chance) for job in claimed])
            again |= any(job.attempts_allowed > 1 for job, outcome in zip(claimed, outcomes, strict=True) if outcome == "failed")
        if again:
            clock.pass_micros(1_000_000)
            while (await store.tick()).more:
                pass


async def _fold(stats: SqliteStatsStore, committed: list[Event], after: int) -> int:
    events, committed[:] = list(committed), []
    upto = events[-1].position
    if not await stats.apply(fold(events), after, upto):
        raise RuntimeError("somebody else moved the cursor of the statistics")
    return upto


def _settle(path: Path) -> None:
    """One file, nothing left in the write-ahead log."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def jobs_of(folder: Path) -> Sequence[Any]:
    """(status, jobs) of a data folder."""
    with sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True) as connection:
        return connection.execute("SELECT status, count(*) FROM jobs GROUP BY status").fetchall()
