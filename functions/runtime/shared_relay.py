"""The relay of processes that share a store: whoever commits publishes, one process at a time, in feed order."""

import asyncio
import contextlib
import logging

from contracts.errors import Passing
from contracts.log_fields import about
from eventing.publisher import Publisher
from functions.runtime.redaction import Redact
from functions.stores.job_store import PUBLISH_CURSOR, JobStore

log = logging.getLogger("observatory.relay")
BATCH = 500
PAUSE_SECONDS = (0.1, 5.0)
SETTLE_SECONDS = 0.2


class SharedRelay:
    """Publishes from the publish cursor to the head and moves the cursor behind what the broker confirmed.

    A commit of any process wakes it. Whoever has the turn publishes for all; whoever finds the turn taken has nothing to
    do, for the one who has it looks once more after giving it back. What everybody missed, the scheduler's tick rings for.
    While the broker is away nothing waits for it but the events: `is_behind` says so.
    """

    def __init__(self, store: JobStore, publisher: Publisher, redact: Redact) -> None:
        self._store, self._publisher, self._redact = store, publisher, redact
        self._wake, self._room, self._rest = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._rest.set()
        self._task: asyncio.Task[None] | None = None
        self.is_behind = False
        store.on_moved(self.nudge)
        publisher.on_confirmed(self._room.set)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="relay")
        self.nudge()

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """Lets what was committed go out, within the grace; the rest is somebody else's turn."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._rest.wait(), grace_seconds)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Returns when what was committed is out, or after a moment; at once while the broker is away."""
        if not self.is_behind:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rest.wait(), seconds)

    def nudge(self) -> None:
        """Looks at the feed: there may be events that nobody has published."""
        self._rest.clear()
        self._wake.set()

    async def _run(self) -> None:
        pause, longest = PAUSE_SECONDS
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while await self._take_a_turn():
                    pass
                pause, self.is_behind = PAUSE_SECONDS[0], False
                if not self._wake.is_set():
                    self._rest.set()
                continue
            except Passing as error:
                log.warning("publishing waits: %s", error, extra=about("relay.waiting"))
            except Exception:  # nobody else in this process would publish
                log.exception("publishing failed", extra=about("relay.failed"))
            self.is_behind = True
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
            self._wake.set()

    async def _take_a_turn(self) -> bool:
        """Publishes all there is, if it is this process's turn; whether more came meanwhile that nobody may have seen."""
        if not await self._store.take_turn():
            return False
        try:
            published = await self._publish_all()
        finally:
            with contextlib.suppress(Passing):
                await self._store.give_turn()
        return await self._store.head() > published

    async def _publish_all(self) -> int:
        """From the cursor on; returns the position that it came to."""
        cursor = (await self._store.cursors()).get(PUBLISH_CURSOR, 0)
        while events := await self._store.feed(cursor, min(BATCH, max(self._publisher.room, 1))):
            await self._publisher.publish(await self._redact(events))
            cursor = events[-1].position
            await self._confirmed(cursor)
            await self._store.advance(PUBLISH_CURSOR, cursor)
        return cursor

    async def _confirmed(self, position: int) -> None:
        """Waits until the broker has what was published. Raises TimeoutError, after which it is published again."""
        async with asyncio.timeout(30.0):
            while self._publisher.confirmed < position:
                self._room.clear()
                if self._publisher.confirmed < position:
                    await self._room.wait()
