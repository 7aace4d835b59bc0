"""Brings spooled dead letters into the job store."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from contracts.errors import ObservatoryError, Passing
from contracts.log_fields import about
from functions.dead_letter.spool import Spool
from functions.stores import faults
from functions.stores.clock import Clock
from functions.stores.job_store import DeadLetter, JobStore

log = logging.getLogger("observatory.spool")
PAUSE_SECONDS = (0.5, 15.0)
LAST_SECONDS = 5.0


class Carrier:
    """Opens the store, which may be away when its function starts, and empties the spool into it whenever it answers.

    A file goes only after the store's commit. A kill between the two stores its letter a second time, which adds none.
    """

    def __init__(
        self, spool: Spool, open_store: Callable[[], Awaitable[JobStore]], clock: Clock, pause_seconds: tuple[float, float] = PAUSE_SECONDS
    ) -> None:
        self.spool, self._open_store, self._clock, self._pause_seconds = spool, open_store, clock, pause_seconds
        self.store: JobStore | None = None
        self.is_away = False
        """Whether the store did not answer when it was last asked, so that nobody need wait for it."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def now(self) -> int:
        """By the store's clock, once there is one."""
        return self._clock() if self.store is None else self.store.now()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="spool")

    async def stop(self) -> None:
        """Once more, and then says what stays behind."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        with contextlib.suppress(ObservatoryError, TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._carry_all()
        if self.spool.waiting:
            log.error("%d dead letters stay in the spool; they are lost if its folder is", self.spool.waiting, extra=about("dead_letter.left"))

    async def take(self, letter: DeadLetter) -> None:
        """Keeps a letter that the store did not take. Raises StoreUnavailable when it cannot."""
        await asyncio.to_thread(self.spool.put, letter)
        self.is_away = True
        self._wake.set()

    async def _run(self) -> None:
        pause, longest = self._pause_seconds
        while True:
            self._wake.clear()
            try:
                await self._carry_all()
            except Passing as error:
                self.is_away = True
                log.warning("%d spooled dead letters wait: %s", self.spool.waiting, error, extra=about("dead_letter.waiting"))
            except Exception:  # nobody else would carry them
                self.is_away = True
                log.exception("spooled dead letters cannot be stored", extra=about("dead_letter.failed"))
            if self.is_away or self.spool.waiting:
                await asyncio.sleep(pause)
                pause = min(pause * 2, longest)
            else:
                pause = self._pause_seconds[0]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(longest):
                        await self._wake.wait()

    async def _carry_all(self) -> None:
        """Raises Passing when the store is away. A letter that it refuses stays, and holds up no other."""
        if self.store is None:
            self.store = await self._open_store()
        stored = 0
        for name in self.spool.names():
            letter = await asyncio.to_thread(self.spool.read, name)
            if letter is None:
                continue
            try:
                await self.store.keep_dead_letter(letter)
            except Passing:
                raise
            except ObservatoryError as error:
                log.warning("a spooled dead letter cannot be stored, and stays in %s: %s", name, error, extra=about("dead_letter.not_carried"))
                continue
            faults.reach("carried")
            await asyncio.to_thread(self.spool.remove, name)
            stored += 1
        self.is_away = False
        if stored:
            log.info("%d spooled dead letters were stored", stored, extra=about("dead_letter.carried"))
