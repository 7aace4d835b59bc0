"""The relay: publishes committed events in feed order, and moves the publish cursor behind what the broker confirmed."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from contracts.errors import Passing
from contracts.event import Event
from contracts.log_fields import about
from eventing.publisher import Publisher
from functions.runtime.redaction import Redact
from functions.stores import faults
from functions.stores.job_store import PUBLISH_CURSOR, JobStore

log = logging.getLogger("observatory.relay")
BATCH = 1_000
KEPT = 20_000  # commits held in memory while the broker is busy; beyond that they are read from the feed again


class Relay:
    """Takes each commit as it comes; after a gap, a restart or a fault it reads on from the feed, so nothing is skipped."""

    def __init__(self, store: JobStore, publisher: Publisher, redact: Redact) -> None:
        self._store, self._publisher, self._redact = store, publisher, redact
        self._waiting: list[Event] = []
        self._behind = True  # whether the feed holds events that `_waiting` does not
        self._sent = 0
        self._saved = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        store.on_committed(self._committed)
        publisher.on_confirmed(self._wake.set)

    async def start(self) -> None:
        self._sent = self._saved = (await self._store.cursors()).get(PUBLISH_CURSOR, 0)
        self._task = asyncio.create_task(self._run(), name="relay")
        self.nudge()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._save()

    def nudge(self) -> None:
        """Looks at the feed again: another process may have committed."""
        self._behind = True
        self._wake.set()

    @property
    def lag(self) -> int:
        """Events handed to the broker and not confirmed yet."""
        return self._sent - self._publisher.confirmed

    def _committed(self, events: Sequence[Event]) -> None:
        if self._behind or len(self._waiting) > KEPT:
            self._behind = True
        else:
            self._waiting.extend(events)
        self._wake.set()

    async def _run(self) -> None:
        pause = 0.1
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while await self._publish_some():
                    pass
                await self._save()
                pause = 0.1
            except Passing as error:
                log.warning("publishing waits: %s", error, extra=about("relay.waiting"))
                await self._begin_again(pause)
                pause = min(pause * 2, 5.0)
            except Exception:  # nobody else would publish
                log.exception("publishing failed", extra=about("relay.failed"))
                await self._begin_again(pause)
                pause = min(pause * 2, 5.0)

    async def _begin_again(self, pause: float) -> None:
        """From the feed, after a pause."""
        self._behind, self._waiting = True, []
        await asyncio.sleep(pause)
        self._wake.set()

    async def _publish_some(self) -> bool:
        """Publishes the next events; False when there is nothing to do now."""
        room = min(self._publisher.room, BATCH)
        if room <= 0:
            return False
        events = await self._next(room)
        if not events:
            return False
        await self._publisher.publish(await self._redact(events))
        self._sent = events[-1].position
        faults.reach("relayed")
        return True

    async def _next(self, room: int) -> list[Event]:
        if not self._behind:
            events, self._waiting = self._waiting[:room], self._waiting[room:]
            if not events or events[0].position == self._sent + 1:
                return events
        self._behind, self._waiting = False, []  # commits from here on are kept again; the read below sees all before them
        events = await self._store.feed(self._sent, room)
        if len(events) == room:
            self._behind, self._waiting = True, []
        elif self._waiting:
            last = events[-1].position if events else self._sent
            self._waiting = [event for event in self._waiting if event.position > last]
        return events

    async def _save(self) -> None:
        confirmed = self._publisher.confirmed
        if confirmed > self._saved:
            self._saved = confirmed
            with contextlib.suppress(Passing):
                await self._store.advance(PUBLISH_CURSOR, confirmed)
