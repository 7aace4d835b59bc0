"""A worker pool with real processes, watched."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from contracts.errors import LeaseLost
from functions.processor.workers import Assignment, Outcome, WorkerPool

TASKS = "tests.functions.worker_pool_tasks"


class Watched:
    """A pool of which every word is kept."""

    def __init__(self, size: int = 2, **options: Any) -> None:
        self.outcomes: dict[tuple[str, int], Outcome] = {}
        self.order: list[Outcome] = []
        self.repeated: list[Outcome] = []
        self.progress: dict[str, list[Any]] = defaultdict(list)
        self.effects: dict[tuple[str, str], Any] = {}
        self.lost: set[str] = set()
        self.changed = asyncio.Event()
        self.feed: Callable[[], None] = lambda: None
        self.pool = WorkerPool(
            size,
            [TASKS],
            clock=lambda: time.time_ns() // 1000,
            on_outcomes=self._on_outcomes,
            on_progress=lambda job, token, said: self.progress[job].append(said),
            store_effect=self._store,
            **options,
        )

    def _on_outcomes(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            key = (outcome.job_id, outcome.lease_token)
            if key in self.outcomes:
                self.repeated.append(outcome)
            self.outcomes[key] = outcome
            self.order.append(outcome)
        self.feed()
        self.changed.set()

    async def _store(self, job_id: str, token: int, step: str, value: Any) -> Any:
        await asyncio.sleep(0)
        if job_id in self.lost:
            raise LeaseLost
        return self.effects.setdefault((job_id, step), value)

    def submit(self, job_id: str, task_type: str, payload: Any = None, **fields: Any) -> None:
        self.pool.submit([assignment(job_id, task_type, payload, **fields)])

    async def outcome(self, job_id: str, token: int = 1, seconds: float = 20) -> Outcome:
        await self.until(lambda: (job_id, token) in self.outcomes, seconds)
        return self.outcomes[job_id, token]

    async def until(self, met: Callable[[], bool], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not met():
                self.changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), 0.01)

    async def run(self, task_type: str, payload: Any = None, **fields: Any) -> Outcome:
        job_id = f"{task_type}-{len(self.order)}-{time.monotonic_ns()}"
        self.submit(job_id, task_type, payload, **fields)
        return await self.outcome(job_id)


def assignment(job_id: str, task_type: str, payload: Any = None, **fields: Any) -> Assignment:
    values: dict[str, Any] = {
        "job_id": job_id, "lease_token": 1, "attempt": 1, "attempts_allowed": 5, "type": task_type, "queue": "default",
        "payload": payload or {}, "timeout_seconds": 20.0, "traceparent": None, "effects": {},
    }  # fmt: skip
    return Assignment(**{**values, **fields})


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def read_when_there(mark: Path, watched: Watched) -> str:
    await watched.until(lambda: mark.exists() and mark.read_text() != "")
    return mark.read_text()


@contextlib.asynccontextmanager
async def running(size: int = 2, **options: Any) -> AsyncIterator[Watched]:
    watched = Watched(size, **options)
    await watched.pool.start()
    try:
        yield watched
    finally:
        await watched.pool.stop()
