"""The one writer of this process: drains a queue of commands into transactions of many, and answers them once they are committed.

While one transaction's events get their places, the next is under way. A transaction that collides with another process's is
tried again; one that cannot be stored at all is taken apart, so that what is bad fails alone. One that a held row holds up is taken
apart, too, and goes on aside, on a connection of its own: what comes after it does not wait.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from psycopg import errors

from contracts.errors import ObservatoryError, StoreUnavailable
from functions.stores import commands as cmd
from functions.stores import faults
from functions.stores.backends.postgres_committing import Committing
from functions.stores.backends.postgres_database import words_of
from functions.stores.backends.postgres_placing import Placing
from functions.stores.backends.postgres_work import Done

log = logging.getLogger("observatory.postgres")
BATCH = 500
LAZY_SECONDS = 0.02
ASIDE_LOCK_SECONDS = 0.05  # of one try aside
WARY_SECONDS = 10.0  # after a lock that was not to be had: who wants it comes again, and the others are not to wait long each time
WARY_LOCK_SECONDS = 0.2


Asked = list[tuple[Any, asyncio.Future[Any]]]


class Writer:
    """`aside` commits on a link of its own, which waits for a lock for ASIDE_LOCK_SECONDS; `lock_seconds` is what a command may wait."""

    def __init__(self, committing: Committing, aside: Committing, placing: Placing, lock_seconds: float) -> None:
        self._committing, self._placing = committing, placing
        self._aside = _Aside(aside, self._answer, lock_seconds)
        self._wary_until = 0.0
        self._queue: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._lazy: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._asked = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.commits = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="writer")

    async def stop(self) -> None:
        """Writes what was asked before."""
        self._closing = True
        self._asked.set()
        if self._task is not None:
            await self._task
        await self._aside.stop()
        if self._answering:
            await asyncio.wait(self._answering)

    def ask(self, command: Any) -> asyncio.Future[Any]:
        """The future has the command's answer after its commit. Lazy ones wait for company, 20 ms at most."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._closing or self._task is None:
            future.set_exception(StoreUnavailable("the job store is closed"))
            return future
        (self._lazy if command.lazy else self._queue).append((command, future))
        self._asked.set()
        return future

    # ---- batches ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while batch := await self._next_batch():
            await self._write(batch)

    async def _next_batch(self) -> Asked:
        """Empty at the end alone."""
        await self._wait_for_work()
        batch: Asked = []
        size = 0
        for source in (self._queue, self._lazy):
            while source and (not batch or size + _size(source[0][0]) <= BATCH):
                size += _size(source[0][0])
                batch.append(source.popleft())
        return batch

    async def _wait_for_work(self) -> None:
        """Until there is something, and for what may wait alone until it has waited."""
        loop = asyncio.get_running_loop()
        until: float | None = None
        while not self._queue and not self._closing:
            self._asked.clear()
            if self._lazy and until is None:
                until = loop.time() + LAZY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._asked.wait()
            if until is not None and loop.time() >= until:
                return

    async def _write(self, batch: Asked) -> None:
        loop = asyncio.get_running_loop()
        wary = loop.time() < self._wary_until
        try:
            done = await self._committing.commit([command for command, _ in batch], lock_seconds=WARY_LOCK_SECONDS if wary else None)
        except StoreUnavailable as error:
            if not _is_held_up(error):
                _fail(batch + self._all_that_wait(), error)  # it is away for them, too, and each would find out at its cost
                return
            self._wary_until = loop.time() + WARY_SECONDS
            parts = [part for asked in batch for part in self._parts(asked)]
            if wary or len(parts) > 1:
                self._aside.take(parts)
            else:
                _fail(batch, error)
        except Exception as error:  # something in it cannot be stored
            if len(batch) > 1:
                await self._write_each(batch)
            else:
                _fail(batch, _fault(error))
        else:
            self.commits += 1
            faults.reach("committed")
            self._answer(batch, done)

    def _parts(self, asked: tuple[Any, asyncio.Future[Any]]) -> Asked:
        """What can be done by itself of a command, each part with an answer of its own."""
        command, future = asked
        parts = command.parts() if isinstance(command, cmd.Command) else []
        if len(parts) < 2:
            return [asked]
        answers: list[asyncio.Future[Any]] = [asyncio.get_running_loop().create_future() for _ in parts]
        self._follow(_join(command, answers, future))
        return list(zip(parts, answers, strict=True))

    async def _write_each(self, batch: Asked) -> None:
        for asked in batch:
            await self._write([asked])

    def _all_that_wait(self) -> Asked:
        waiting = [*self._queue, *self._lazy]
        self._queue.clear()
        self._lazy.clear()
        return waiting

    # ---- answers ----------------------------------------------------------------------------------------------

    def _answer(self, batch: Asked, done: Done) -> None:
        if done.commit_id is None:
            _deliver(batch, done.answers)
            return
        self._follow(self._place_and_answer(batch, done, done.commit_id))

    def _follow(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _place_and_answer(self, batch: Asked, done: Done, commit_id: int) -> None:
        await self._placing.place(commit_id, done.events)
        faults.reach("published")
        _deliver(batch, done.answers)


class _Aside:
    """Commands that a lock held up, each alone and in turns, until it is done or its time is over."""

    def __init__(self, committing: Committing, answer: Callable[[Asked, Done], None], seconds: float) -> None:
        self._committing, self._answer, self._seconds = committing, answer, seconds
        self._waiting: deque[tuple[tuple[Any, asyncio.Future[Any]], float]] = deque()
        self._task: asyncio.Task[None] | None = None

    def take(self, batch: Asked) -> None:
        until = asyncio.get_running_loop().time() + self._seconds
        self._waiting.extend((asked, until) for asked in batch)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="aside")

    async def stop(self) -> None:
        while self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._waiting:
            while self._waiting:
                await self._try(*self._waiting.popleft())
            await self._committing.rest()
        self._task = None

    async def _try(self, asked: tuple[Any, asyncio.Future[Any]], until: float) -> None:
        try:
            done = await self._committing.commit([asked[0]])
        except StoreUnavailable as error:
            if not _is_held_up(error):
                _fail([asked, *(other for other, _ in self._waiting)], error)
                self._waiting.clear()
            elif asyncio.get_running_loop().time() < until:
                self._waiting.append((asked, until))
            else:
                _fail([asked], error)
        except Exception as error:
            _fail([asked], _fault(error))
        else:
            self._answer([asked], done)


def _is_held_up(error: StoreUnavailable) -> bool:
    return isinstance(error.__cause__, errors.LockNotAvailable)


async def _join(command: cmd.Command, answers: Sequence[asyncio.Future[Any]], future: asyncio.Future[Any]) -> None:
    """Answers a command that was taken apart; if all its parts failed, so did the whole."""
    found = await asyncio.gather(*answers, return_exceptions=True)
    faults = [answer for answer in found if isinstance(answer, BaseException)]
    _deliver([(command, future)], [faults[0] if len(faults) == len(found) else command.joined(found)])


def _size(command: Any) -> int:
    """Roughly how many jobs a command is about."""
    if isinstance(command, cmd.Submit):
        return len(command.requests)
    return len(command.endings) if isinstance(command, cmd.EndAttempts) else 1


def _deliver(batch: Asked, answers: Sequence[Any]) -> None:
    for (_, future), answer in zip(batch, answers, strict=True):
        if future.done():
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _fault(error: Exception) -> ObservatoryError:
    if isinstance(error, ObservatoryError):
        return error
    log.error("a write cannot be stored: %s", words_of(error), exc_info=error, extra={"action": "postgres.failed"})
    fault = ObservatoryError(f"{type(error).__name__}: {words_of(error)}")
    fault.__cause__ = error
    return fault


def _fail(batch: Asked, error: ObservatoryError) -> None:
    _deliver(batch, [error] * len(batch))
