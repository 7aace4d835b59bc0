"""The one writer of this process: drains a queue of commands into transactions of many, and answers them once they are committed.

While one transaction's events get their places, the next is under way. A transaction that collides with another process's is
tried again; one that cannot be stored at all is taken apart, so that what is bad fails alone.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
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


Asked = list[tuple[Any, asyncio.Future[Any]]]


class Writer:
    def __init__(self, committing: Committing, placing: Placing) -> None:
        self._committing, self._placing = committing, placing
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
        try:
            done = await self._committing.commit([command for command, _ in batch])
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, errors.LockNotAvailable):
                _fail(batch + self._all_that_wait(), error)  # it is away for them, too, and each would find out at its cost
            elif len(batch) > 1:
                await self._write_each(batch)
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
        task = asyncio.create_task(self._place_and_answer(batch, done, done.commit_id))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _place_and_answer(self, batch: Asked, done: Done, commit_id: int) -> None:
        await self._placing.place(commit_id, done.events)
        faults.reach("published")
        _deliver(batch, done.answers)


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
