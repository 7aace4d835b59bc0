"""Stores over a temporary folder, and small lives of jobs to put in them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from contracts import validation
from contracts.job import Job, JobRequest
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.moves import Ending


@asynccontextmanager
async def sqlite_store(folder: Path, **parts: Any) -> AsyncIterator[SqliteJobStore]:
    """An open store in `folder` that validates its events, closed at the end."""
    store = SqliteJobStore.at(folder / "observatory.db", check=validation.validate_event, **parts)
    await store.open()
    await store.declare_queues([("default", None, None, False)])
    try:
        yield store
    finally:
        await store.close()


class SteppedClock:
    """Microseconds since the epoch that a test moves on by hand."""

    def __init__(self, now: int = 1_795_000_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1_000_000)


async def submit(store: SqliteJobStore, count: int = 1, job_type: str = "demo.noop", **options: Any) -> list[str]:
    """Ids of so many new jobs."""
    request = JobRequest(job_type, options.pop("payload", {}), **options)
    return [answer.id for answer in await store.submit([request] * count)]  # type: ignore[union-attr]


async def claim(store: SqliteJobStore, limit: int = 1, queue: str = "default") -> list[Job]:
    return await store.claim(queue, limit, worker="worker-1", instance="instance-1", lease_seconds=15)


async def end(store: SqliteJobStore, jobs: Sequence[Job], outcome: str = "succeeded", **parts: Any) -> None:
    """Ends these claims; each must still be held."""
    parts.setdefault("ran_micros", 2_500)
    answers = await store.end_attempts([Ending(job.id, job.lease_token, outcome, **parts) for job in jobs])
    assert all(isinstance(answer, str) for answer in answers), answers


async def run_all(store: SqliteJobStore, limit: int = 1_000, outcome: str = "succeeded", **parts: Any) -> list[Job]:
    jobs = await claim(store, limit)
    await end(store, jobs, outcome, **parts)
    return jobs


async def mixed_life(store: SqliteJobStore) -> None:
    """Some of everything: succeeded, failed, retrying, cancelled, released, reopened, scheduled, waiting, queued, running."""
    error = {"type": "ValueError", "message": "no", "traceback": None}
    await submit(store, 5)
    await run_all(store, result={"ok": True})
    await submit(store, 2, "demo.fail", max_attempts=1)
    failed = await run_all(store, outcome="failed", error=error)
    await submit(store, 1, "demo.fail")
    await run_all(store, outcome="timed_out", error=error)
    await store.reopen([failed[0].id], "anna", None)
    (job,) = await claim(store)
    await store.release([(job.id, job.lease_token)], "drain")
    await store.cancel(await submit(store, 1), "anna", "not needed")
    later = store.now() + 3_600_000_000
    (parent,) = await submit(store, 1, run_at=later)
    await submit(store, 1, depends_on=[parent])
    await submit(store, 2, "demo.sleep", priority=9)
    await claim(store)
