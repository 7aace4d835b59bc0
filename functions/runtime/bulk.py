"""Bulk operations: found once, then done in small steps that survive a kill, by one process at a time, which holds them."""

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence
from typing import Any

from contracts.errors import ContractViolation, Fault, Forbidden, ObservatoryError
from contracts.ids import UuidSequence
from contracts.job import Job, JobRequest, JobStatus
from contracts.log_fields import about
from contracts.query import parse
from functions.runtime.bulk_letters import LetterSource, Replays, letters_found
from functions.runtime.holding import Hold, holding
from functions.stores.bulk import LETTER_ACTIONS, STEP, BulkOperation, BulkState
from functions.stores.job_store import JobStore

log = logging.getLogger("observatory.bulk")
LETTER_STEP = 10  # each is delivered
DRAIN_SECONDS = 5.0  # for what is in hand
REST_SECONDS = 0.01  # between steps, so that others get their turn


class Bulk:
    """Begins operations and goes on with them; `letters` gives whoever replays and discards dead letters."""

    def __init__(self, store: JobStore, letters: LetterSource | None = None) -> None:
        self._store = store
        self._replays = Replays(store, letters)
        self._ids = UuidSequence()
        self._me = str(uuid.uuid4())
        self._running: dict[str, asyncio.Task[None]] = {}
        self._draining = False

    async def begin(self, action: str, query: str, actor: str, reason: str | None) -> BulkOperation:
        """Finds everything that fits now and begins; the rest goes on by itself. Raises MalformedRequest for the query, and
        ContractViolation when nothing says why letters are to be discarded."""
        if action == "discard" and not reason:
            raise ContractViolation(faults=[Fault("/reason", 'say why: {"reason": "..."}')])
        found = await self._find(action, query)
        now = self._store.now()
        state = BulkState(finished_at=None if found else now)
        operation = BulkOperation(self._ids.next(now), action, query, actor, reason, now, len(found), state)
        await self._store.begin_bulk(operation, [item for item, _ in found])
        self._go_on(operation)
        return operation

    async def rehearse(self, action: str, query: str) -> dict[str, Any]:
        """What an operation would find and could do, by the states of now."""
        found = await self._find(action, query)
        able = [item for item, status in found if is_able(action, status)]
        return {"action": action, "q": query, "dry_run": True, "matched": len(found), "able": len(able), "refused": len(found) - len(able),
                "samples": await self._samples(action, able[:10])}  # fmt: skip

    async def resume(self, seconds: float | None = None) -> None:
        """Goes on with what is unfinished and held by nobody else. Waits for it, `seconds` at most."""
        for operation in await self._store.bulks(1_000, open_only=True):
            self._go_on(operation)
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=seconds)

    async def drain(self) -> None:
        """Lets the step or the letter in hand end, for a while; the rest is gone on with by another process, or after the next start."""
        self._draining = True
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=DRAIN_SECONDS)
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _find(self, action: str, query: str) -> list[tuple[str, str]]:
        """(id, state) of everything that fits."""
        if action in LETTER_ACTIONS:
            return [(letter.id, letter.status) for letter in await letters_found(self._store, query)]
        return await self._store.matching(parse(query))

    async def _samples(self, action: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        if action in LETTER_ACTIONS:
            letters = [await self._store.dead_letter(item) for item in ids]
            return [{"id": letter.id, "type": letter.event_type, "status": letter.status} for letter in letters]
        jobs = [await self._store.job(item) for item in ids]
        return [{"id": job.id, "type": job.type, "status": job.status} for job in jobs]

    # ---- steps ------------------------------------------------------------------------------------------------

    def _go_on(self, operation: BulkOperation) -> None:
        if operation.state.finished_at is None and operation.id not in self._running and not self._draining:
            task = asyncio.get_running_loop().create_task(self._run(operation), name=f"bulk {operation.id}")
            self._running[operation.id] = task
            task.add_done_callback(lambda _: self._running.pop(operation.id, None))

    async def _run(self, operation: BulkOperation) -> None:
        begun = time.monotonic()
        try:
            async with holding(self._store, f"bulk/{operation.id}", self._me) as hold:
                state = await self._steps(operation, hold) if hold is not None else None
        except ObservatoryError as error:  # the tick goes on with it
            log.warning("bulk operation %s waits: %s", operation.id, error, extra=about("bulk.waits", operation=operation.id))
            return
        if state is not None:
            log.info("bulk operation %s: %s of %d in %.1f s", operation.id, operation.action, state.done, time.monotonic() - begun,
                     extra=about("bulk.finished", operation=operation.id))  # fmt: skip

    async def _steps(self, operation: BulkOperation, hold: Hold) -> BulkState | None:
        """How it ended; None when it is to be gone on with, or another has ended it."""
        state = (await self._store.bulk(operation.id)).state  # it may have come further before it was held
        if state.finished_at is not None:
            return None
        step = LETTER_STEP if operation.action in LETTER_ACTIONS else STEP
        while state.finished_at is None and not self._draining:
            ids = await self._store.bulk_items(operation.id, state.done, step)
            outcomes = await self._outcomes(operation, ids, hold)
            if outcomes is None:
                return None
            if operation.action in LETTER_ACTIONS:
                ids = ids[: len(outcomes)]  # a drain came in between
            found = await self._store.bulk_step(operation, state.done, ids, outcomes)
            if found is None:
                return None
            state = found
            await asyncio.sleep(REST_SECONDS)
        return state if state.finished_at is not None else None

    async def _outcomes(self, operation: BulkOperation, ids: Sequence[str], hold: Hold) -> Sequence[tuple[str, str]] | None:
        """What became of each, of what the store does not do in the step itself; None when the operation is no longer held."""
        if operation.action == "rerun":
            return await self._rerun(operation, ids)
        outcomes = []
        for item in ids if operation.action in LETTER_ACTIONS else ():
            if not hold.is_held:
                return None
            if self._draining:
                break
            outcomes.append(await self._replays.act(operation, item))
        return outcomes

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


def is_able(action: str, status: str) -> bool:
    """Whether an action can be done to what is in this state."""
    if action in LETTER_ACTIONS:
        return status != "discarded"
    ended = JobStatus(status).is_terminal
    return {"cancel": not ended, "retry": status in ("failed", "cancelled"), "rerun": ended}[action]
