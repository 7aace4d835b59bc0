"""The worker pool: hands claimed jobs to worker processes, and tells how each attempt ended."""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from contracts import strict_json
from contracts.catalogue import Catalogue
from contracts.errors import ConfigurationError, Draining, LeaseLost
from contracts.log_fields import about
from functions.processor.assignments import Assignment, Outcome
from functions.processor.deaths import how_it_ended
from functions.processor.masking import Masker
from functions.processor.pace import MOST_PARKED, HeldBack, Pace
from functions.processor.starters import Starters
from functions.processor.telling import Progress, Teller
from functions.processor.waiting import Waiting
from functions.processor.worker_link import Held, Record, StarterLink, WorkerLink, parse

__all__ = ["Assignment", "Outcome", "WorkerPool"]

CANCEL_GRACE_SECONDS = 5.0
STALL_SECONDS = 0.05
TRACE_SECONDS = 0.2  # for a hung worker to say where it is, before it is killed
TRACE_SIGNAL = signal.SIGUSR2  # as in worker_process.py
KILLED_SECONDS = 60.0  # until the end of a killed worker is seen
_QUICK_LOOK_SECONDS, _LOOK_SECONDS = 0.005, 0.05

log = logging.getLogger("observatory.processor.workers")


class WorkerPool:
    """`size` worker processes that run the handlers of the built-in tasks and of `modules`.

    All methods belong to one event loop, that of `start`. `clock` gives microseconds since the epoch. `on_outcomes` and
    `on_progress` are called from the loop, `store_effect(job_id, lease_token, step, value)` stores a `context.once`
    value and answers what is stored (LeaseLost: the attempt is not the owner any more). `environment` is what the
    workers see as theirs; by default that of this process.
    """

    def __init__(
        self,
        size: int,
        modules: Sequence[str],
        *,
        clock: Callable[[], int],
        on_outcomes: Callable[[list[Outcome]], None],
        on_progress: Callable[[str, int, Progress], None],
        store_effect: Callable[[str, int, str, Any], Awaitable[Any]],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if size < 1:
            raise ConfigurationError(f"a worker pool needs 1 worker or more, not {size}")
        self.size = size
        self._starters = Starters(modules, environment, run=self._run, on_ended=self._on_ended, on_change=self._on_change)
        self._clock = clock
        self._store_effect = store_effect
        self._pace = Pace(size)
        self._teller = Teller(on_outcomes, on_progress)
        self._held: dict[tuple[str, int], Held] = {}
        self._waiting = Waiting(self._pace)
        self._workers: list[WorkerLink] = []
        self._numbers = 0
        self._accepting = False
        self._stopping = False
        self._drained: list[Assignment] | None = None
        self._look: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()

    # ---- life

    async def start(self) -> Catalogue:
        """Starts the processes and answers the catalogue of their tasks. Raises ConfigurationError for a task module
        that cannot be used."""
        self._loop = asyncio.get_running_loop()
        self._starters.current, catalogue = await self._starters.begin()
        self._teller.masker = Masker(catalogue)
        self._accepting = True
        self._fill()
        return catalogue

    async def reload(self) -> Catalogue:
        """Imports the task modules anew, in new processes; running attempts end on the old code. Raises
        ConfigurationError, and nothing has changed, when a module cannot be used."""
        starter, catalogue = await self._starters.begin(keeps_bytecode=False)
        old, self._starters.current = self._starters.current, starter
        self._teller.masker = Masker(catalogue)
        for worker in [w for w in self._workers if w.starter is old]:
            worker.retiring = True
            self._waiting.put_back(worker.take_back())
            self._close_if_retired(worker)
        self._on_change()
        return catalogue

    @property
    def sources(self) -> list[str]:
        """The files that the tasks were last made from; after a reload that failed also those that it came to."""
        return self._starters.sources

    def submit(self, assignments: Sequence[Assignment]) -> None:
        """Takes claimed jobs over. Raises Draining when the pool takes no more, ValueError for one it holds already."""
        if not self._accepting:
            raise Draining("the worker pool takes no more jobs")
        for assignment in assignments:
            if assignment.key in self._held:
                raise ValueError(f"job {assignment.job_id} is held already under lease token {assignment.lease_token}")
            held = self._held[assignment.key] = Held(assignment)
            self._waiting.backlog.append(held)
        self._advance()

    def wanted(self) -> int:
        """How many more jobs the pool wants now."""
        if not self._accepting:
            return 0
        free = sum(1 for worker in self._workers if not worker.alone and worker.usable)
        parked = sum(self._waiting.parked().values())
        capacity = self._pace.capacity(free)
        retiring = sum(len(worker.outstanding) for worker in self._workers if worker.retiring)  # they take no worker's place
        return max(0, capacity - len(self._held) + retiring + min(parked, MOST_PARKED))

    def held_back(self) -> HeldBack:
        """The task types of which it wants no more now: they always fail at once, or kill their workers."""
        if not self._pace.has_offenders:
            return HeldBack()
        return self._pace.held_back((held.assignment.type for held in self._held.values()), time.monotonic(), self._waiting.parked())

    def held(self) -> list[tuple[str, int]]:
        """(job id, lease token) of every job that has not ended, for the renewal of its lease."""
        return list(self._held)

    def output(self, job_id: str, lease_token: int) -> str | None:
        """The whole lines that a running handler has printed so far, its secrets masked; None when it does not run here."""
        held = self._held.get((job_id, lease_token))
        if held is None or held.worker is None or held.worker.begun_micros(held) is None:
            return None
        printed, _ = held.worker.output()
        return self._teller.masked(held, (printed or "")[: (printed or "").rfind("\n") + 1])

    def cancel(self, job_id: str, lease_token: int) -> None:
        """Asks a job's handler to end, and kills it when it has not ended after 5 seconds; one that has not begun is
        cancelled at once. Its outcome says so. Unknown jobs are passed over."""
        held = self._held.get((job_id, lease_token))
        if held is None or held.cancelled:
            return
        self._withdraw(held)
        if held.worker is None:
            self._forget(held)
            self._end_unbegun(held, "cancelled", "JobCancelled", "cancelled before its handler began")
        else:
            held.cancelled = True
            held.worker.ask_to_cancel(held)
            self._loop.call_later(CANCEL_GRACE_SECONDS, self._kill, held, "cancelled")
        self._advance()

    def drop(self, job_id: str, lease_token: int) -> None:
        """The job's lease is lost: its handler is killed, and nothing is told about it."""
        held = self._held.pop((job_id, lease_token), None)
        if held is None:
            return
        held.dropped = True
        self._withdraw(held)
        if held.worker is None:
            self._forget(held)
        else:
            self._kill(held, "dropped")
        self._advance()

    async def drain(self, grace_seconds: float) -> list[Assignment]:
        """Takes no more jobs, waits for the running handlers, and kills those that are not done in time. Answers the
        assignments that have no outcome: never begun, or killed. Until then they count as held."""
        self._accepting = False
        self._drained = []
        for worker in self._workers:
            self._waiting.put_back(worker.take_back())
        unbegun = self._waiting.take_all()
        self._collect_records()
        if not await self._all_quiet(grace_seconds):
            for held in [h for worker in self._workers for h in worker.outstanding.values()]:
                self._kill(held, "drained")
            await self._all_quiet(KILLED_SECONDS)
        for held in unbegun:
            self._held.pop(held.assignment.key, None)
        return [held.assignment for held in unbegun if not (held.dropped or held.cancelled)] + self._drained

    async def stop(self) -> None:
        """Ends every process at once."""
        self._accepting, self._stopping = False, True
        self._starters.stopping()
        if self._look is not None:
            self._look.cancel()
        for task in self._tasks:
            task.cancel()
        starters = {worker.starter for worker in self._workers}
        for worker in list(self._workers):
            self._detach(worker)
        await self._starters.stop(starters)
        self._held.clear()
        self._waiting.take_all()

    # ---- workers come and go

    def _fill(self) -> None:
        """Orders workers until there are `size`."""
        starter = self._starters.current
        if starter is None or self._stopping:
            return
        present = sum(1 for worker in self._workers if worker.starter is starter)
        for _ in range(self.size - present):
            self._numbers += 1
            worker = starter.order(self._numbers)
            self._workers.append(worker)
            self._loop.add_reader(worker.stream, self._on_stream, worker)

    def _on_ended(self, starter: StarterLink, number: int, status: int) -> None:
        """A worker is dead: its last records count, the job that it was at has ended, the others go on elsewhere."""
        worker = starter.workers.pop(number, None)
        if worker is None or worker.closed:
            return
        back = worker.take_back()
        self._take_records(worker)
        now = time.monotonic()
        for held in worker.outstanding.values():
            begun = worker.begun_micros(held)
            self._died(worker, held, status, _micros() if begun is None else begun, now)
        worker.outstanding.clear()
        self._waiting.put_back(back)
        self._detach(worker)
        self._fill()

    def _detach(self, worker: WorkerLink) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
        if not worker.closed:
            self._loop.remove_reader(worker.stream)
            self._loop.remove_writer(worker.stream)
            worker.close()

    def _close_if_retired(self, worker: WorkerLink) -> None:
        if worker.retiring and not worker.outstanding:
            self._detach(worker)
            if worker.starter is not self._starters.current and not any(w.starter is worker.starter for w in self._workers):
                self._run(self._starters.end(worker.starter))

    def _on_change(self) -> None:
        self._fill()
        self._advance()

    # ---- handing out

    def _advance(self) -> None:
        """Hands out what can be handed out, tells what ended, and looks again in a while if there is a reason to."""
        self._hand_out()
        self._teller.tell()
        self._arm()
        if not any(worker.outstanding for worker in self._workers):
            self._quiet.set()

    def _hand_out(self) -> None:
        if not self._waiting or self._drained is not None:
            return
        for worker, batch in self._waiting.deal(self._workers).items():
            if not worker.give(batch):
                self._loop.add_writer(worker.stream, self._send_rest, worker)

    def _send_rest(self, worker: WorkerLink) -> None:
        if worker.send_rest():
            self._loop.remove_writer(worker.stream)

    def _withdraw(self, held: Held) -> None:
        """Takes a job back from its worker if that has not begun it; the worker's others are handed out anew."""
        if held.worker is not None:
            self._waiting.put_back(held.worker.take_back())
            self._take_records(held.worker)

    def _forget(self, held: Held) -> None:
        self._held.pop(held.assignment.key, None)
        self._waiting.remove(held)

    # ---- what workers say

    def _on_stream(self, worker: WorkerLink) -> None:
        try:
            requests = worker.requests()
        except (ValueError, TypeError, EOFError):
            log.exception("%s wrote what is no frame; it is killed", worker.name, extra=about("worker.killed"))
            requests = None
        if requests is None:
            self._loop.remove_reader(worker.stream)
            worker.signal(signal.SIGKILL)
            return
        for held, number, step, text in requests:
            self._run(self._keep_effect(worker, held, number, step, text))
        self._take_records(worker)
        worker.stalled = False
        self._advance()

    async def _keep_effect(self, worker: WorkerLink, held: Held, number: int, step: str, text: bytes) -> None:
        verdict, answer = "failed", b""
        try:
            value = await self._store_effect(held.assignment.job_id, held.assignment.lease_token, step, parse(text))
            verdict, answer = "stored", strict_json.dumps(value)
        except LeaseLost as error:
            verdict, answer = "lost", error.message.encode()
        except Exception as error:
            answer = f"{type(error).__name__}: {error}".encode()
        if not worker.closed and not worker.answer(number, step, verdict, answer if verdict == "stored" else answer.decode()):
            self._loop.add_writer(worker.stream, self._send_rest, worker)

    def _collect_records(self) -> None:
        for worker in list(self._workers):
            self._take_records(worker)
        self._advance()

    def _take_records(self, worker: WorkerLink) -> None:
        offset = None
        now = time.monotonic()
        for held, record in worker.records():
            offset = self._clock() - _micros() if offset is None else offset
            self._ended(worker, held, record, offset, now)
        if offset is not None:
            worker.stalled = False
            if not worker.outstanding:
                worker.load_seconds, worker.alone = 0.0, False
            self._close_if_retired(worker)

    def _ended(self, worker: WorkerLink, held: Held, record: Record, offset: int, now: float) -> None:
        task_type = held.assignment.type
        worker.load_seconds -= self._pace.expected_seconds(task_type)
        self._pace.ended(task_type, record.ran_micros / 1e6, now, failed=record.kind in ("failed", "permanent"))
        if self._held.pop(held.assignment.key, None) is None:
            return
        self._teller.progress(held, record.progress, now, final=True)
        self._teller.note(held, record.kind, record.begun_micros + offset, result=record.result, error=record.error,
                   after_seconds=record.after_seconds, ran_micros=record.ran_micros, output=record.output, worker=worker.name)  # fmt: skip

    def _died(self, worker: WorkerLink, held: Held, status: int, begun: int, now: float) -> None:
        """The outcome of the job that a worker was at when it died."""
        ran = max(_micros() - begun, 0)
        why = worker.killing if worker.kill_number == held.number else None
        if why == "timed_out":
            self._pace.ended(held.assignment.type, ran / 1e6, now)
        elif why is None:
            self._pace.killed_its_worker(held.assignment.type, min(ran / 1e6, 1.0) + 0.01, now)
        if self._held.pop(held.assignment.key, None) is None:
            return
        if why == "drained" and self._drained is not None:
            self._drained.append(held.assignment)
            return
        if (said := worker.progress()) is not None and said[0] is held:
            self._teller.progress(held, said[1], now, final=True)
        output, trace = worker.output()
        kind, error = how_it_ended(why, held, status, trace, CANCEL_GRACE_SECONDS)
        self._teller.note(held, kind, begun + self._clock() - _micros(), error=error, ran_micros=ran, output=output, worker=worker.name)

    def _end_unbegun(self, held: Held, kind: str, error_type: str, message: str) -> None:
        self._teller.note(held, kind, self._clock(), error={"type": error_type, "message": message, "traceback": None})

    # ---- looking after running handlers

    def _arm(self) -> None:
        if self._look is not None or self._stopping:
            return
        delay = None
        for worker in self._workers:
            if worker.outstanding:
                delay = _LOOK_SECONDS if worker.alone and delay is None else delay or _LOOK_SECONDS
                if not worker.alone:
                    delay = _QUICK_LOOK_SECONDS
                    break
        if delay is None and self._waiting:
            delay = _LOOK_SECONDS
        if delay is not None:
            self._look = self._loop.call_later(delay, self._look_around)

    def _look_around(self) -> None:
        self._look = None
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.has_records():
                self._take_records(worker)
            if worker.outstanding:
                self._look_at(worker, now)
        self._advance()

    def _look_at(self, worker: WorkerLink, now: float) -> None:
        held = worker.running()
        if held is None:
            return
        if worker.looked_at[0] != held.number:
            worker.looked_at = (held.number, now)
        begun = worker.begun_micros(held)
        since = worker.looked_at[1] if begun is None else begun / 1e6
        if now - since >= held.assignment.timeout_seconds:
            self._time_out(worker, held)
        elif now - since >= STALL_SECONDS:
            self._relieve(worker, begun is None)
        if begun is not None and now - since >= STALL_SECONDS:
            worker.trim_output()
            if (said := worker.progress()) is not None and self._teller.progress(said[0], said[1], now, final=False):
                worker.progress_seen = said[2]

    def _relieve(self, worker: WorkerLink, silent: bool) -> None:
        """A worker is at one job for long: what waits behind it goes elsewhere."""
        back = worker.take_back()
        if back:
            self._waiting.put_back(back)
            self._take_records(worker)
        worker.alone = bool(worker.outstanding)
        if silent and not worker.outstanding:
            worker.stalled = True  # it did not even begin: give it nothing until it answers
            worker.ping()

    def _time_out(self, worker: WorkerLink, held: Held) -> None:
        if worker.killing or worker.trace_from is not None:
            return
        self._waiting.put_back(worker.take_back())
        self._take_records(worker)
        if held.number in worker.outstanding:
            worker.killing = "timed_out"
            worker.kill_number = held.number
            worker.ask_where(TRACE_SIGNAL)
            self._loop.call_later(TRACE_SECONDS, self._kill, held, "timed_out")

    def _kill(self, held: Held, why: str) -> None:
        """Kills the worker of a running handler, unless the handler has ended."""
        worker = held.worker
        if worker is None or worker.closed or worker.outstanding.get(held.number) is not held:
            return
        self._waiting.put_back(worker.take_back())
        self._take_records(worker)
        if worker.outstanding.get(held.number) is held:
            worker.killing, worker.kill_number = why, held.number
            worker.signal(signal.SIGKILL)
        elif worker.killing == "timed_out":
            worker.killing = worker.trace_from = None
        self._advance()

    async def _all_quiet(self, seconds: float) -> bool:
        """Waits until no worker has anything in hand; False when the time is over before."""
        end = time.monotonic() + seconds
        while any(worker.outstanding for worker in self._workers):
            rest = end - time.monotonic()
            if rest <= 0:
                return False
            self._quiet.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), rest)
        return True

    def _run(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _micros() -> int:
    return time.monotonic_ns() // 1000
