"""Processor: claims the best jobs of a queue under leases, has their handlers run, commits the outcomes."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from contracts.errors import ObservatoryError, Passing
from contracts.event import Event
from contracts.event_types import JOB_QUEUED, QUEUE_RESUMED
from contracts.job import Job
from contracts.log_fields import about
from contracts.trace import below_attempt
from functions.processor.assignments import Assignment, Outcome
from functions.processor.pace import HeldBack
from functions.runtime.dead_letters import Consumer
from functions.stores import faults
from functions.stores.job_store import JobStore
from functions.stores.moves import Ending

log = logging.getLogger("observatory.processor")
CLAIM_SECONDS = 5.0  # a claim under way is waited for, even without grace: what it got must be given back

HELD_BACK_SECONDS = 0.25
HELD_UP_SECONDS = 1.0  # before an outcome that somebody's lock holds up comes again
TURN_SECONDS = 0.25  # how often types that are held back have their turn, at most


class Pool(Protocol):
    """Runs handlers; tells outcomes as they come (see functions/processor/workers.py)."""

    def submit(self, assignments: Sequence[Assignment]) -> None: ...
    def wanted(self) -> int: ...
    def held_back(self) -> HeldBack: ...
    def held(self) -> list[tuple[str, int]]: ...
    def cancel(self, job_id: str, lease_token: int) -> None: ...
    def drop(self, job_id: str, lease_token: int) -> None: ...
    async def drain(self, grace_seconds: float) -> list[Assignment]: ...
    async def stop(self) -> None: ...


class Processor(Consumer):
    """One dispatcher for all queues of this instance.

    A ring marks its queue; the dispatcher claims for marked queues whenever the pool wants jobs, in turn, and unmarks a
    queue when a claim finds less than it asked for. With `patience_seconds` an event is answered when its queue is
    drained, or when that time is over (on Knative a request lasts as long as its jobs, within its Service's timeout; what is
    left has rings of its own, and the scheduler's); without, at once.
    """

    def __init__(
        self,
        store: JobStore,
        pool: Pool,
        *,
        queues: Mapping[str, Any],
        instance: str,
        lease_seconds: float = 15.0,
        renew_seconds: float = 3.0,
        drain_seconds: float = 30.0,
        patience_seconds: float = 0.0,
        hosted: bool = False,
        cold_start: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(store)
        self.hosted = hosted
        self._store, self._pool = store, pool
        self._queues = queues
        self._instance = instance
        self._lease_seconds, self._renew_seconds, self._drain_seconds = lease_seconds, renew_seconds, drain_seconds
        self._patience_seconds = patience_seconds
        self._cold_start = cold_start
        self._rung: dict[str, None] = {}  # in the order of their rings
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._ends = asyncio.Event()
        self._limited: dict[tuple[str, int], str] = {}  # leases whose end lets another of their queue begin
        self._ending: set[tuple[str, int]] = set()  # leases whose outcome is being committed
        self._timed: set[str] = set()
        self._turn_at = 0.0
        self._commits: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._draining = False

    # ---- life -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._dispatch(), name="dispatch"),
            asyncio.create_task(self._renew(), name="renew"),
        ]
        if self.hosted:
            self.ring_all()  # nobody may have rung for what is left; and so they see that there is a worker

    async def ready(self) -> None:
        await self._store.ping()

    async def drain(self) -> None:
        """Takes no more jobs, lets handlers finish within the grace, gives the rest back uncounted."""
        if self._draining:
            return
        self._draining = True
        self._ends.set()
        self._wake.set()
        grace = max(self._drain_seconds, CLAIM_SECONDS)  # what it is claiming goes to the pool, and comes back below
        await asyncio.wait(self._tasks[:1], timeout=grace)
        left = await self._pool.drain(self._drain_seconds)
        while self._commits:
            await asyncio.wait(self._commits)
        if left:
            with contextlib.suppress(Passing):
                await self._store.release([(item.job_id, item.lease_token) for item in left], "drain")
        for task in self._tasks:
            task.cancel()
        await self._pool.stop()
        self._idle.set()

    @property
    def busy(self) -> int:
        """Jobs whose lease this instance holds."""
        return len(self._pool.held()) + len(self._ending)

    # ---- events -----------------------------------------------------------------------------------------------

    async def handle(self, trigger: str, events: Sequence[Event]) -> Sequence[int]:
        """A `job.queued` rings its queue; what breaks its contract is kept as a dead letter."""
        try:
            good = await self.valid(trigger, events)
        except Passing:
            return [503] * len(events)
        for event in good:
            queue = str(event.data["name"] if event.type == QUEUE_RESUMED else event.attribute("queue"))
            if event.type in (JOB_QUEUED, QUEUE_RESUMED) and queue in self._queues:
                self.ring(queue)
        if self._patience_seconds and good:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), self._patience_seconds)
        return [200] * len(events)

    def ring(self, queue: str) -> None:
        """The queue has work."""
        if queue not in self._rung:
            self._rung[queue] = None
            self._idle.clear()
            self._wake.set()

    def ring_all(self) -> None:
        """Any of its queues may have work."""
        for queue in self._queues:
            self.ring(queue)

    # ---- claiming ---------------------------------------------------------------------------------------------

    async def _dispatch(self) -> None:
        pause = 0.1
        while not self._draining:
            await self._wake.wait()
            self._wake.clear()
            try:
                while not self._draining and self._rung and (wanted := self._pool.wanted()) > 0:
                    await self._claim_for(wanted)
                pause = 0.1
            except Passing as error:
                log.warning("claiming waits: %s", error, extra=about("processor.waiting"))
                await self._pause(pause)
                pause = min(pause * 2, 5.0)
                self._wake.set()
            except Exception:
                log.exception("a claim failed", extra=about("processor.failed"))
                await self._pause(1.0)
                self._wake.set()
            self._note_idle()

    async def _pause(self, seconds: float) -> None:
        """Sleeps, but not into the drain."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ends.wait(), seconds)

    async def _claim_for(self, wanted: int) -> None:
        """Claims for the queue rung longest ago; it goes to the end of the row, or out of it when it has no more."""
        queue = next(iter(self._rung))
        del self._rung[queue]
        share = max(1, wanted // (len(self._rung) + 1))
        held_back = self._pool.held_back()
        try:
            jobs = await self._claim(queue, share, held_back.types)
        except ObservatoryError:
            self._rung[queue] = None
            raise
        if len(jobs) == share:
            self._rung[queue] = None
        self._watch_limits(queue, jobs)
        if jobs:
            faults.reach("claimed")
            await self._hand_over(jobs)
        if held_back.types and (others := await self._claim_held_back(queue, share - len(jobs), held_back)):
            await self._hand_over(others)
            jobs += others
        if len(jobs) < share:
            self._come_again(queue, bool(held_back.types))

    async def _claim_held_back(self, queue: str, room: int, held_back: HeldBack) -> list[Job]:
        """Jobs of types that always fail or kill their workers: their turn now and then, and more when nobody else waits. The
        end of each lets another begin."""
        now = asyncio.get_running_loop().time()
        limit = held_back.in_turn if now >= self._turn_at else 0
        jobs: list[Job] = []
        with contextlib.suppress(Passing):  # others were claimed, and are to go on
            if room > 0 and not self._rung and not await self._has_others(queue, held_back.types):
                limit = max(limit, min(room, held_back.freely))
            if limit > 0:
                self._turn_at = now + TURN_SECONDS
                jobs = await self._claim(queue, limit, held_back.at_all)
        self._limited.update(((job.id, job.lease_token), queue) for job in jobs)
        return jobs

    async def _has_others(self, queue: str, types: Collection[str]) -> bool:
        """Whether jobs of other types are queued there; a claim may find none because the queue was paused, or at its limit."""
        counts = await self._store.counts()
        return any(jobs and of == queue and status == "queued" and job_type not in types for (of, job_type, status), jobs in counts.items())

    async def _claim(self, queue: str, limit: int, except_types: Collection[str]) -> list[Job]:
        return await self._store.claim(
            queue, limit, worker=self._instance, instance=self._instance, lease_seconds=self._lease_seconds,
            cold_start_seconds=self._take_cold_start(), except_types=except_types,
        )  # fmt: skip

    async def _hand_over(self, jobs: Sequence[Job]) -> None:
        """Gives claimed jobs to the pool; what it cannot take goes back at once, uncounted."""
        try:
            self._pool.submit([self._assignment(job, steps) for job, steps in await self._with_effects(jobs)])
        except ObservatoryError:
            await self._store.release([(job.id, job.lease_token) for job in jobs], "drain")
            raise

    def _watch_limits(self, queue: str, jobs: Sequence[Job]) -> None:
        """A queue at its limit is claimed for again when one of its jobs ends."""
        if getattr(self._queues.get(queue), "max_running", None) is not None:
            self._limited.update(((job.id, job.lease_token), queue) for job in jobs)

    def _come_again(self, queue: str, held_back: bool) -> None:
        """What the queue's rate, or a type that is held back, left in it is claimed for in a while."""
        rate = getattr(self._queues.get(queue), "rate_per_second", None)
        pauses = ([1.0 / rate] if rate is not None else []) + ([HELD_BACK_SECONDS] if held_back else [])
        if pauses and queue not in self._timed:
            self._timed.add(queue)
            self._follow(self._ring_again(queue, min(pauses)))

    async def _ring_again(self, queue: str, seconds: float) -> None:
        """Rings a queue after a pause, unless there is nothing in it."""
        await self._pause(seconds)
        self._timed.discard(queue)
        with contextlib.suppress(Passing):
            if any(state.depth and not state.paused for state in await self._store.queues() if state.name == queue):
                self.ring(queue)

    def _take_cold_start(self) -> float | None:
        cold_start, self._cold_start = self._cold_start, None
        return cold_start() if cold_start is not None else None

    async def _with_effects(self, jobs: Sequence[Job]) -> list[tuple[Job, dict[str, Any]]]:
        """Each job with the steps that an earlier attempt stored."""
        again = [job.id for job in jobs if job.lease_token > 1]
        steps = await self._store.effects(again) if again else {}
        return [(job, steps.get(job.id, {})) for job in jobs]

    @staticmethod
    def _assignment(job: Job, steps: dict[str, Any]) -> Assignment:
        return Assignment(
            job_id=job.id, lease_token=job.lease_token, attempt=job.attempt, attempts_allowed=job.attempts_allowed, type=job.type,
            queue=job.queue, payload=job.payload, timeout_seconds=job.timeout_seconds,
            traceparent=below_attempt(job.traceparent, job.id, job.lease_token), effects=steps,
        )  # fmt: skip

    def _note_idle(self) -> None:
        if not self._rung and not self._ending and not self._pool.held():
            self._idle.set()

    # ---- outcomes ---------------------------------------------------------------------------------------------

    def on_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """From the pool: commits them, and asks for more work."""
        faults.reach("handled")
        self._ending.update((outcome.job_id, outcome.lease_token) for outcome in outcomes)
        self._follow(self._commit(outcomes))
        if self._rung:
            self._wake.set()

    def _follow(self, work: Coroutine[Any, Any, None]) -> None:
        """Lets something go on that a drain waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._commits.add(task)
        task.add_done_callback(self._commits.discard)

    async def _commit(self, outcomes: Sequence[Outcome]) -> None:
        endings = [_ending(outcome, self._instance) for outcome in outcomes]
        try:
            await self._store_endings(endings)
        finally:
            for ending in endings:
                self._forget(ending)
            self._wake.set()

    def _forget(self, ending: Ending) -> None:
        lease = ending.job_id, ending.lease_token
        self._ending.discard(lease)
        if self._limited and (queue := self._limited.pop(lease, None)) is not None:
            self.ring(queue)

    async def _store_endings(self, endings: Sequence[Ending], *, plainly: bool = False) -> None:
        """Commits endings together; if one of them cannot be stored, each alone, and that one as a plain failure. What somebody
        holds up comes again, without the others."""
        while endings:
            try:
                results = await self._end_attempts(endings)
            except ObservatoryError as error:
                log.exception("outcomes could not be committed", extra=about("processor.failed"))
                if len(endings) > 1:
                    for ending in endings:
                        await self._store_endings([ending])
                elif not plainly:
                    await self._store_endings([_unstorable(endings[0], error)], plainly=True)
                return
            endings = await self._left_of(endings, results)

    async def _left_of(self, endings: Sequence[Ending], results: Sequence[str | ObservatoryError]) -> list[Ending]:
        """Those that were held up, after a pause."""
        left = []
        for ending, result in zip(endings, results, strict=True):
            if isinstance(result, Passing):
                left.append(ending)
                continue
            if isinstance(result, ObservatoryError):
                log.info("job %s: %s", ending.job_id, result, extra=about("job.fenced", job_id=ending.job_id, lease_token=ending.lease_token))
            self._forget(ending)
        if left:
            self._wake.set()
            log.warning("%d outcomes wait for a lock that somebody else has", len(left), extra=about("processor.waiting"))
            await asyncio.sleep(HELD_UP_SECONDS)
        return left

    async def _end_attempts(self, endings: Sequence[Ending]) -> list[str | ObservatoryError]:
        pause = 0.05
        while True:
            try:
                return await self._store.end_attempts(endings)
            except Passing as error:  # leases are renewed meanwhile; what is lost is rescued
                log.warning("outcomes wait: %s", error, extra=about("processor.waiting"))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    def on_progress(self, job_id: str, lease_token: int, progress: dict[str, Any]) -> None:
        self._follow(self._progress(job_id, lease_token, progress))

    async def _progress(self, job_id: str, lease_token: int, progress: dict[str, Any]) -> None:
        with contextlib.suppress(ObservatoryError):  # progress is news: a lost lease or a store away drops it
            await self._store.progress(job_id, lease_token, progress)

    async def store_effect(self, job_id: str, lease_token: int, step: str, value: Any) -> Any:
        """From a handler's `context.once`: the value that stands. Raises LeaseLost."""
        return await self._store.effect(job_id, lease_token, step, value)

    # ---- leases -----------------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._renew_seconds)
            leases = list({*self._pool.held(), *self._ending})
            if not leases:
                continue
            try:
                for lease in await self._store.renew(leases, self._lease_seconds):
                    if lease.state == "lost":
                        self._pool.drop(lease.job_id, lease.lease_token)
                    elif lease.state == "cancelling":
                        self._pool.cancel(lease.job_id, lease.lease_token)
            except Passing as error:
                log.warning("leases are not renewed: %s", error, extra=about("processor.waiting"))
            except ObservatoryError:
                log.exception("leases could not be renewed", extra=about("processor.failed"))


def _unstorable(ending: Ending, error: ObservatoryError) -> Ending:
    text = f"the attempt ended ({ending.outcome}), but what it ended with cannot be stored: {error.message}"
    fault = {"type": "OutcomeNotStored", "message": text, "traceback": None}
    return replace(ending, outcome="permanent", result=None, error=fault, after_seconds=None, output=None)


def _ending(outcome: Outcome, instance: str) -> Ending:
    return Ending(
        job_id=outcome.job_id,
        lease_token=outcome.lease_token,
        outcome=outcome.kind,
        result=outcome.result,
        error=outcome.error,
        after_seconds=outcome.after_seconds,
        began_at=outcome.started_at,
        ran_micros=outcome.ran_micros,
        output=outcome.output,
        instance=instance,
        worker=outcome.worker,
    )
