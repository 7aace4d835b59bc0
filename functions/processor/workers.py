"""The worker pool: hands claimed jobs to worker processes, and tells how each attempt ended."""

import asyncio
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from contracts import strict_json
from contracts.catalogue import Catalogue
from contracts.errors import ConfigurationError, Draining, LeaseLost
from contracts.log_fields import about
from functions.processor.assignments import Assignment, Outcome
from functions.processor.dealing import Deal
from functions.processor.deaths import how_it_ended
from functions.processor.masking import Masker
from functions.processor.pace import MOST_PARKED, HeldBack, Pace
from functions.processor.worker_link import Held, Record, StarterLink, WorkerLink, parse

__all__ = ["Assignment", "Outcome", "WorkerPool"]

CANCEL_GRACE_SECONDS = 5.0
STALL_SECONDS = 0.05
PROGRESS_SECONDS = 1.0
TRACE_SECONDS = 0.03
TRACE_SIGNAL = signal.SIGUSR2  # as in worker_process.py
START_SECONDS = 60.0
REVIVE_SECONDS = 1.0
_QUICK_LOOK_SECONDS, _LOOK_SECONDS = 0.005, 0.05

log = logging.getLogger("observatory.processor.workers")

Progress = dict[str, Any]


class WorkerPool:
    """`size` worker processes that run the handlers of the built-in tasks and of `modules`.

    All methods belong to one event loop, that of `start`. `clock` gives microseconds since the epoch. `on_outcomes` and
    `on_progress` are called from the loop, `store_effect(job_id, lease_token, step, value)` stores a `context.once`
    value and answers what is stored (LeaseLost: the attempt is not the owner any more). `environment` is what the
    workers see as os.environ; by default that of this process.
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
        self._modules = list(modules)
        self.sources: list[str] = []
        """The files that the tasks were last made from; after a reload that failed also those that it came to."""
        self._clock = clock
        self._on_outcomes = on_outcomes
        self._on_progress = on_progress
        self._store_effect = store_effect
        self._environment = environment
        self._pace = Pace(size)
        self._masker = Masker(Catalogue())
        self._held: dict[tuple[str, int], Held] = {}
        self._backlog: deque[Held] = deque()
        self._parked: dict[str, deque[Held]] = {}  # by type: jobs that wait for their type's turn rather than for a worker
        self._workers: list[WorkerLink] = []
        self._starter: StarterLink | None = None
        self._numbers = 0
        self._ready: list[Outcome] = []
        self._accepting = False
        self._stopping = False
        self._drained: list[Assignment] | None = None
        self._look: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()
        self._said: dict[StarterLink, asyncio.Future[Catalogue]] = {}

    # ---- life

    async def start(self) -> Catalogue:
        """Starts the processes and answers the catalogue of their tasks. Raises ConfigurationError for a task module
        that cannot be used."""
        self._loop = asyncio.get_running_loop()
        starter, catalogue = await self._begin_starter()
        self._starter, self._masker = starter, Masker(catalogue)
        self._accepting = True
        self._fill()
        return catalogue

    async def reload(self) -> Catalogue:
        """Imports the task modules anew, in new processes; running attempts end on the old code. Raises
        ConfigurationError, and nothing has changed, when a module cannot be used."""
        starter, catalogue = await self._begin_starter(keeps_bytecode=False)
        old, self._starter, self._masker = self._starter, starter, Masker(catalogue)
        for worker in [w for w in self._workers if w.starter is old]:
            worker.retiring = True
            self._return_to_backlog(worker.take_back())
            self._close_if_retired(worker)
        self._fill()
        self._advance()
        return catalogue

    def submit(self, assignments: Sequence[Assignment]) -> None:
        """Takes claimed jobs over. Raises Draining when the pool takes no more, ValueError for one it holds already."""
        if not self._accepting:
            raise Draining("the worker pool takes no more jobs")
        for assignment in assignments:
            if assignment.key in self._held:
                raise ValueError(f"job {assignment.job_id} is held already under lease token {assignment.lease_token}")
            held = self._held[assignment.key] = Held(assignment)
            self._backlog.append(held)
        self._advance()

    def wanted(self) -> int:
        """How many more jobs the pool wants now."""
        if not self._accepting:
            return 0
        free = sum(1 for worker in self._workers if not worker.alone and worker.usable)
        parked = sum(map(len, self._parked.values()))
        capacity = self._pace.capacity(free)
        retiring = sum(len(worker.outstanding) for worker in self._workers if worker.retiring)  # they take no worker's place
        return max(0, capacity - len(self._held) + retiring + min(parked, MOST_PARKED))

    def held_back(self) -> HeldBack:
        """The task types of which it wants no more now: they always fail at once, or kill their workers."""
        if not self._pace.has_offenders:
            return HeldBack()
        parked = {task_type: len(waiting) for task_type, waiting in self._parked.items()}
        return self._pace.held_back((held.assignment.type for held in self._held.values()), time.monotonic(), parked)

    def held(self) -> list[tuple[str, int]]:
        """(job id, lease token) of every job that has not ended, for the renewal of its lease."""
        return list(self._held)

    def output(self, job_id: str, lease_token: int) -> str | None:
        """The whole lines that a running handler has printed so far, its secrets masked; None when it does not run here."""
        held = self._held.get((job_id, lease_token))
        if held is None or held.worker is None or held.worker.begun_micros(held) is None:
            return None
        printed, _ = held.worker.output()
        lines = (printed or "")[: (printed or "").rfind("\n") + 1]
        mask = self._masker.of(held.assignment.type, held.assignment.payload)
        return lines if mask is None else mask.text(lines)

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
            self._return_to_backlog(worker.take_back())
        unbegun = [held for waiting in (*self._parked.values(), self._backlog) for held in waiting]
        self._backlog.clear()
        self._parked.clear()
        self._collect_records()
        if not await self._all_quiet(grace_seconds):
            for held in [h for worker in self._workers for h in worker.outstanding.values()]:
                self._kill(held, "drained")
            await self._all_quiet(START_SECONDS)
        for held in unbegun:
            self._held.pop(held.assignment.key, None)
        return [held.assignment for held in unbegun if not (held.dropped or held.cancelled)] + self._drained

    async def stop(self) -> None:
        """Ends every process at once."""
        self._accepting, self._stopping = False, True
        if self._look is not None:
            self._look.cancel()
        for task in self._tasks:
            task.cancel()
        starters = {worker.starter for worker in self._workers} | set(self._said)
        if self._starter is not None:
            starters.add(self._starter)
        for worker in list(self._workers):
            self._detach(worker)
        for starter in starters:
            await self._end_starter(starter)
        self._held.clear()
        self._backlog.clear()
        self._parked.clear()

    # ---- the starter

    async def _begin_starter(self, *, keeps_bytecode: bool = True) -> tuple[StarterLink, Catalogue]:
        environment = dict(os.environ if self._environment is None else self._environment)
        starter = StarterLink(self._modules, environment, keeps_bytecode=keeps_bytecode)
        said = self._said[starter] = self._loop.create_future()
        self._loop.add_reader(starter.control, self._on_starter, starter)
        try:
            return starter, await asyncio.wait_for(said, START_SECONDS)
        except TimeoutError:
            await self._end_starter(starter)
            raise ConfigurationError(
                f"the task modules {', '.join(self._modules)} did not finish importing in {START_SECONDS:g} s"
            ) from None
        except BaseException:
            await self._end_starter(starter)
            raise
        finally:
            self._said.pop(starter, None)

    async def _end_starter(self, starter: StarterLink) -> None:
        with suppress(OSError, ValueError):
            self._loop.remove_reader(starter.control)
        starter.close()
        try:
            await asyncio.to_thread(starter.process.wait, 5)
        except Exception:
            starter.process.kill()
            await asyncio.to_thread(starter.process.wait)

    def _on_starter(self, starter: StarterLink) -> None:
        messages = starter.messages()
        if messages is None:
            self._starter_died(starter)
            return
        for kind, *rest in messages:
            if kind == "forked":
                self._on_forked(starter, *rest)
            elif kind == "ended":
                self._on_ended(starter, *rest)
            else:
                self._on_imported(starter, kind, *rest)
        self._advance()

    def _on_imported(self, starter: StarterLink, kind: str, answer: Any, sources: list[str]) -> None:
        self.sources = sources if kind == "ready" else sorted({*self.sources, *sources})
        said = self._said.get(starter)
        if said is None or said.done():
            return
        if kind == "ready":
            said.set_result(Catalogue.from_json(answer))
        else:
            said.set_exception(ConfigurationError(answer))

    def _starter_died(self, starter: StarterLink) -> None:
        self._loop.remove_reader(starter.control)
        said = self._said.get(starter)
        if said is not None and not said.done():
            said.set_exception(ConfigurationError("the process that imports the task modules died; its output says why"))
        if self._stopping:
            return
        self._run(self._bury(starter))
        if starter is self._starter:
            log.warning("the process that starts the workers died; starting another", extra=about("workers.restarted"))
            self._starter = None
            self._run(self._revive())

    async def _bury(self, starter: StarterLink) -> None:
        """The workers of a starter that died have died with it; this waits until they surely have, then tells so."""
        for worker in list(starter.workers.values()):
            worker.signal(signal.SIGKILL)
            while not _has_ended(worker):  # noqa: ASYNC110  # nothing tells of the end of a process that is no child
                await asyncio.sleep(0.005)
            self._on_ended(starter, worker.number, signal.SIGKILL)
            self._advance()
        await self._end_starter(starter)

    async def _revive(self) -> None:
        while not self._stopping:
            try:
                self._starter, _ = await self._begin_starter()
            except ConfigurationError as error:
                log.error("no workers: %s", error.message, extra=about("workers.missing"))  # noqa: TRY400
                await asyncio.sleep(REVIVE_SECONDS)
            else:
                self._fill()
                self._advance()
                return

    # ---- workers come and go

    def _fill(self) -> None:
        """Orders workers until there are `size`."""
        if self._starter is None or self._stopping:
            return
        present = sum(1 for worker in self._workers if worker.starter is self._starter)
        for _ in range(self.size - present):
            self._numbers += 1
            worker = self._starter.order(self._numbers)
            self._workers.append(worker)
            self._loop.add_reader(worker.stream, self._on_stream, worker)

    def _on_forked(self, starter: StarterLink, number: int, pid: int) -> None:
        worker = starter.workers.get(number)
        if worker is not None and not worker.closed:
            worker.forked(pid)
            if worker.killing:
                worker.signal(signal.SIGKILL)

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
        self._return_to_backlog(back)
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
            if worker.starter is not self._starter and not any(w.starter is worker.starter for w in self._workers):
                self._run(self._end_starter(worker.starter))

    # ---- handing out

    def _advance(self) -> None:
        """Hands out what can be handed out, tells what ended, and looks again in a while if there is a reason to."""
        self._hand_out()
        self._tell()
        self._arm()
        if not any(worker.outstanding for worker in self._workers):
            self._quiet.set()

    def _hand_out(self) -> None:
        if not (self._backlog or self._parked) or self._drained is not None:
            return
        deal = Deal(self._pace, self._workers, time.monotonic())
        for task_type, waiting in list(self._parked.items()):
            while waiting and deal.place(waiting[0]) == "placed":
                waiting.popleft()
            if not waiting:
                del self._parked[task_type]
        while self._backlog:
            held = self._backlog.popleft()
            where = "parked" if held.assignment.type in self._parked else deal.place(held)
            if where == "parked":
                self._parked.setdefault(held.assignment.type, deque()).append(held)
            elif where == "no worker":
                self._backlog.appendleft(held)
                break
        for worker, batch in deal.batches.items():
            if not worker.give(batch):
                self._loop.add_writer(worker.stream, self._send_rest, worker)

    def _send_rest(self, worker: WorkerLink) -> None:
        if worker.send_rest():
            self._loop.remove_writer(worker.stream)

    def _return_to_backlog(self, back: list[Held]) -> None:
        for held in back:
            self._pace.comes_back(held.assignment.type)
        self._backlog.extendleft(held for held in reversed(back) if not held.dropped)

    def _withdraw(self, held: Held) -> None:
        """Takes a job back from its worker if that has not begun it; the worker's others are handed out anew."""
        if held.worker is not None:
            self._return_to_backlog(held.worker.take_back())
            self._take_records(held.worker)

    def _forget(self, held: Held) -> None:
        self._held.pop(held.assignment.key, None)
        for waiting in (self._backlog, self._parked.get(held.assignment.type, deque())):
            with suppress(ValueError):
                waiting.remove(held)

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
        self._tell_progress(held, record.progress, now, final=True)
        self._note(held, record.kind, record.begun_micros + offset, result=record.result, error=record.error,
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
            self._tell_progress(held, said[1], now, final=True)
        output, trace = worker.output()
        kind, error = how_it_ended(why, held, status, trace, CANCEL_GRACE_SECONDS)
        self._note(held, kind, begun + self._clock() - _micros(), error=error, ran_micros=ran, output=output, worker=worker.name)

    def _end_unbegun(self, held: Held, kind: str, error_type: str, message: str) -> None:
        self._note(held, kind, self._clock(), error={"type": error_type, "message": message, "traceback": None})

    def _note(
        self, held: Held, kind: str, started_at: int, *, result: Any = None, error: dict[str, Any] | None = None,
        after_seconds: float | None = None, ran_micros: int = 0, output: str | None = None, worker: str = "",
    ) -> None:  # fmt: skip
        """An outcome to be told, without the secrets of its payload."""
        assignment = held.assignment
        mask = self._masker.of(assignment.type, assignment.payload)
        if mask is not None:
            result, error, output = mask.result(result), mask.error(error), mask.text(output)
        self._ready.append(
            Outcome(assignment.job_id, assignment.lease_token, kind, result, error, after_seconds, started_at, ran_micros, output, worker)
        )

    def _tell(self) -> None:
        if self._ready:
            ready, self._ready = self._ready, []
            self._on_outcomes(ready)

    def _tell_progress(self, held: Held, said: tuple[float | None, str | None] | None, now: float, final: bool) -> bool:
        """Tells a progress unless the last one was less than a second ago; the final one always. Whether it is told."""
        if said is None or said == held.told:
            return True
        if not final and now - held.told_at < PROGRESS_SECONDS:
            return False
        held.told, held.told_at = said, now
        if not held.dropped:
            mask = self._masker.of(held.assignment.type, held.assignment.payload)
            message = mask.text(said[1]) if mask is not None else said[1]
            self._on_progress(held.assignment.job_id, held.assignment.lease_token, {"fraction": said[0], "message": message})
        return True

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
        if delay is None and (self._backlog or self._parked):
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
            if (said := worker.progress()) is not None and self._tell_progress(said[0], said[1], now, final=False):
                worker.progress_seen = said[2]

    def _relieve(self, worker: WorkerLink, silent: bool) -> None:
        """A worker is at one job for long: what waits behind it goes elsewhere."""
        back = worker.take_back()
        if back:
            self._return_to_backlog(back)
            self._take_records(worker)
        worker.alone = bool(worker.outstanding)
        if silent and not worker.outstanding:
            worker.stalled = True  # it did not even begin: give it nothing until it answers
            worker.ping()

    def _time_out(self, worker: WorkerLink, held: Held) -> None:
        if worker.killing or worker.trace_from is not None:
            return
        self._return_to_backlog(worker.take_back())
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
        self._return_to_backlog(worker.take_back())
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


def _has_ended(worker: WorkerLink) -> bool:
    if worker.closed:
        return True
    if worker.pid is None:
        return worker.requests() is None
    try:
        os.kill(worker.pid, 0)
    except ProcessLookupError:
        return True
    return False
