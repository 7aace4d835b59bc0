"""Scheduler: keeps time. Releases what is due, rescues lost leases, rings again for what a broker forgot."""

import logging
from collections.abc import Sequence
from typing import Protocol

from contracts.errors import Passing
from contracts.event import Event
from contracts.event_types import TICK_TYPE
from functions.runtime.dead_letters import Consumer
from functions.scheduler.sweeping import Sweeper
from functions.stores.job_store import STATISTICS_CURSOR, JobStore, Tick

log = logging.getLogger("observatory.scheduler")
SWEEP_SECONDS = 5.0  # of a tick's request, at most


class Bell(Protocol):
    """Rings those who may have missed an event; ringing too often is harmless."""

    def ring_relay(self) -> None:
        """Events past the publish cursor."""

    def ring_queue(self, queue: str, depth: int) -> None:
        """A queue has claimable jobs."""

    async def ring_readers(self) -> None:
        """A reader stands behind the head of the feed."""


class Scheduler(Consumer):
    """`readers` names the Triggers whose subscriber follows the feed by the cursor of the statistics; `sweeper` drops what
    is old when a tick comes as an event (a process that lives sweeps by itself)."""

    def __init__(self, store: JobStore, bell: Bell, readers: Sequence[str] = (), sweeper: Sweeper | None = None) -> None:
        super().__init__(store)
        self._store, self._bell, self._readers, self._sweeper = store, bell, readers, sweeper

    async def ready(self) -> None:
        await self._store.ping()

    async def drain(self) -> None:
        return None

    async def handle(self, trigger: str, events: Sequence[Event]) -> Sequence[int]:
        """A tick (PingSource's event) does all that is due; any other event is kept as a dead letter."""
        try:
            good = await self.valid(trigger, events)
            if any(event.type == TICK_TYPE for event in good):
                await self.tick()
                if self._sweeper is not None:
                    await self._sweeper.sweep(SWEEP_SECONDS)
        except Passing:
            return [503] * len(events)
        return [200] * len(events)

    async def tick(self) -> Tick:
        """Everything that time asks for; returns the sums of what was done and when the next tick is due."""
        total = await self._store.tick()
        while total.more:
            step = await self._store.tick()
            total = Tick(
                total.released + step.released, total.rescued + step.rescued, total.expired + step.expired, step.next_due_at, step.more
            )
        if total.rescued:
            log.warning("%d leases ran out and were rescued", total.rescued, extra={"action": "leases.rescued"})
        await self._ring()
        return total

    async def _ring(self) -> None:
        self._bell.ring_relay()
        for queue in await self._store.queues():
            if queue.depth and not queue.paused:
                self._bell.ring_queue(queue.name, queue.depth)
        cursor = (await self._store.cursors()).get(STATISTICS_CURSOR, 0)
        if cursor < await self._store.head():
            await self._bell.ring_readers()
        await self._store.resolve_dead_letters(self._readers, cursor)
