"""Bulk operations: found once, then done in small steps that survive a kill."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from contracts.errors import Forbidden, ObservatoryError
from contracts.ids import UuidSequence
from contracts.job import Job, JobRequest, JobStatus
from contracts.log_fields import about
from contracts.query import parse
from functions.stores.bulk import STEP, BulkOperation, BulkState
from functions.stores.job_store import JobStore

log = logging.getLogger("observatory.bulk")
PAGE = 1_000
REST_SECONDS = 0.01  # between steps, so that others get their turn


class Bulk:
    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._ids = UuidSequence()
        self._running: dict[str, asyncio.Task[None]] = {}

    async def begin(self, action: str, query: str, actor: str, reason: str | None) -> BulkOperation:
        """Finds every job that fits now and begins; the rest goes on by itself. Raises MalformedRequest for the query."""
        found = await self._find(query)
        now = self._store.now()
        state = BulkState(finished_at=None if found else now)
        operation = BulkOperation(self._ids.next(now), action, query, actor, reason, now, len(found), state)
        await self._store.begin_bulk(operation, [job.id for job in found])
        self._go_on(operation)
        return operation

    async def rehearse(self, action: str, query: str) -> dict[str, Any]:
        """What an operation would find and could do, by the states of now."""
        found = await self._find(query)
        able = [job for job in found if _is_able(action, job)]
        return {"action": action, "q": query, "dry_run": True, "matched": len(found), "able": len(able), "refused": len(found) - len(able),
                "samples": [{"id": job.id, "type": job.type, "status": job.status} for job in able[:10]]}  # fmt: skip

    async def resume(self, seconds: float | None = None) -> None:
        """Goes on with what is unfinished: after a start, and by the scheduler's tick. Waits for it, `seconds` at most."""
        for operation in await self._store.bulks(1_000, open_only=True):
            self._go_on(operation)
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=seconds)

    async def drain(self) -> None:
        """Lets the step in hand end; the rest is done after the next start."""
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _find(self, query: str) -> list[Job]:
        where, found, cursor = parse(query), [], None
        while True:
            page = await self._store.jobs(where, PAGE, cursor)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found

    def _go_on(self, operation: BulkOperation) -> None:
        if operation.state.finished_at is None and operation.id not in self._running:
            task = asyncio.get_running_loop().create_task(self._run(operation), name=f"bulk {operation.id}")
            self._running[operation.id] = task
            task.add_done_callback(lambda _: self._running.pop(operation.id, None))

    async def _run(self, operation: BulkOperation) -> None:
        begun, state = time.monotonic(), operation.state
        try:
            while state.finished_at is None:
                ids = await self._store.bulk_items(operation.id, state.done, STEP)
                outcomes = await self._rerun(operation, ids) if operation.action == "rerun" else ()
                found = await self._store.bulk_step(operation, state.done, ids, outcomes)
                if found is None:
                    return
                state = found
                await asyncio.sleep(REST_SECONDS)
        except ObservatoryError as error:  # the tick goes on with it
            log.warning("bulk operation %s waits: %s", operation.id, error, extra=about("bulk.waits", operation=operation.id))
            return
        log.info("bulk operation %s: %s of %d jobs in %.1f s", operation.id, operation.action, state.done, time.monotonic() - begun,
                 extra=about("bulk.finished", operation=operation.id))  # fmt: skip

    async def _rerun(self, operation: BulkOperation, ids: Sequence[str]) -> list[tuple[str, str]]:
        """New jobs under keys made from the operation and the old job, so that a step done twice makes none twice."""
        requests: dict[str, JobRequest] = {}
        outcomes: dict[str, tuple[str, str]] = {}
        for job_id in ids:
            try:
                requests[job_id] = again(await self._store.job(job_id), operation.actor, (f"bulk:{operation.id}:{job_id}",))
            except ObservatoryError as error:
                outcomes[job_id] = (error.slug, error.message)
        for job_id, answer in zip(requests, await self._store.submit(list(requests.values())), strict=True):
            outcomes[job_id] = (answer.slug, answer.message) if isinstance(answer, ObservatoryError) else ("done", "")
        return [outcomes[job_id] for job_id in ids]


def again(job: Job, actor: str, keys: tuple[str, ...] = ()) -> JobRequest:
    """The request of an ended job's rerun: its payload and options, with the job as parent. Raises Forbidden."""
    if not JobStatus(job.status).is_terminal:
        raise Forbidden(f"job {job.id} is {job.status}; only an ended job is run again")
    return JobRequest(
        type=job.type, payload=job.payload, task_version=job.task_version, queue=job.queue, priority=job.priority,
        max_attempts=job.max_attempts, timeout_seconds=job.timeout_seconds, backoff=job.backoff, tags=job.tags,
        parent_id=job.id, actor=actor, cause=f"job/{job.id}/{job.sequence}", keys=keys,
    )  # fmt: skip


def _is_able(action: str, job: Job) -> bool:
    ended = job.status in ("succeeded", "failed", "cancelled")
    return {"cancel": not ended, "retry": job.status in ("failed", "cancelled"), "rerun": ended}[action]
