"""Waiting for jobs to end, for `?wait=`."""

import asyncio
from collections.abc import Sequence

from contracts.event import Event
from contracts.event_types import JOB_CANCELLED, JOB_FAILED, JOB_SUCCEEDED
from contracts.job import Job, JobStatus
from functions.stores.job_store import JobStore

_ENDINGS = frozenset({JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED})
POLL_SECONDS = 1.0


class Endings:
    """Wakes those who wait for a job when this process commits its end, and looks again each second for ends that
    another process committed."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._closed = False
        store.on_committed(self._committed, lambda: bool(self._waiting))

    def _committed(self, events: Sequence[Event]) -> None:
        if not self._waiting:
            return
        for event in events:
            if event.type in _ENDINGS:
                for waiter in self._waiting.pop((event.subject or "").removeprefix("job/"), ()):
                    if not waiter.done():
                        waiter.set_result(None)

    def close(self) -> None:
        """Lets all who wait go with what there is."""
        self._closed = True
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def wait(self, job_id: str, seconds: float) -> Job:
        """The job when it ended, or as it stands after `seconds`. Raises JobNotFound."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            waiter = loop.create_future()
            self._waiting.setdefault(job_id, []).append(waiter)
            try:
                job = await self._store.job(job_id)
                left = deadline - loop.time()
                if JobStatus(job.status).is_terminal or left <= 0 or self._closed:
                    return job
                await asyncio.wait([waiter], timeout=min(left, POLL_SECONDS))
            finally:
                self._forget(job_id, waiter)

    def _forget(self, job_id: str, waiter: asyncio.Future[None]) -> None:
        waiters = self._waiting.get(job_id)
        if waiters and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiting[job_id]
