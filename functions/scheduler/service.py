"""Scheduler: keeps time. Fires schedules, releases what is due, rescues lost leases, rings again for what a broker forgot."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from contracts.errors import Passing
from contracts.event import Event
from contracts.event_types import TICK_TYPE
from contracts.intake import Intake
from contracts.job import JobRequest
from contracts.log_fields import about
from functions.runtime.alerting import Watch
from functions.runtime.bulk import Bulk
from functions.runtime.dead_letters import Consumer
from functions.scheduler.sweeping import Sweeper
from functions.stores.event_log import EVENT_LOG_CURSOR
from functions.stores.job_store import STATISTICS_CURSOR, Declared, JobStore, Tick

log = logging.getLogger("observatory.scheduler")
SWEEP_SECONDS = 5.0  # of a tick's request, at most


class Bell(Protocol):
    """Rings those who may have missed an event; ringing too often is harmless."""

    def ring_relay(self) -> None:
        """Events past the publish cursor."""

    async def ring_queue(self, queue: str, depth: int) -> None:
        """A queue has claimable jobs."""

    async def ring_readers(self) -> None:
        """A reader stands behind the head of the feed."""


class Scheduler(Consumer):
    """`readers` names the Triggers whose subscriber follows the feed by the cursor of the statistics, `claimers` those whose
    subscriber claims jobs: of their events it is known when they were passed. `sweeper` drops what is old when a tick comes as
    an event, and `bulk` goes on with operations that were interrupted (a process that lives does both by itself); `intake` reads
    the templates of schedules (None: they do not fire here); `watch` raises alerts."""

    def __init__(
        self, store: JobStore, bell: Bell, readers: Sequence[str] = (), sweeper: Sweeper | None = None, intake: Intake | None = None,
        bulk: Bulk | None = None, watch: Watch | None = None, claimers: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(store)
        self._store, self._bell, self._readers, self._sweeper, self._intake, self._bulk = store, bell, readers, sweeper, intake, bulk
        self._watch, self._claimers = watch, claimers

    async def declare(self) -> Declared:
        """Takes over the schedules that tasks declare."""
        declared = await self._store.declare_schedules(self._intake.catalogue.schedules() if self._intake is not None else {})
        for name in declared.taken:
            log.warning("the task %s declares a schedule, but a person's has its name and stays; delete or rename it", name,
                        extra=about("schedule.taken", schedule=name))  # fmt: skip
        return declared

    def _resolve(self, template: dict[str, Any]) -> JobRequest:
        assert self._intake is not None
        return self._intake.template(template, self._store.now())

    async def ready(self) -> None:
        await self._store.ping()

    async def drain(self) -> None:
        if self._bulk is not None:
            await self._bulk.drain()

    async def handle(self, trigger: str, events: Sequence[Event]) -> Sequence[int]:
        """A tick (PingSource's event) does all that is due; any other event is kept as a dead letter."""
        try:
            good = await self.valid(trigger, events)
            if any(event.type == TICK_TYPE for event in good):
                await self.tick()
                if self._sweeper is not None:
                    await self._sweeper.sweep(SWEEP_SECONDS)
                if self._bulk is not None:
                    await self._bulk.resume(SWEEP_SECONDS)
        except Passing:
            return [503] * len(events)
        return [200] * len(events)

    async def tick(self) -> Tick:
        """Everything that time asks for; returns the sums of what was done and when the next tick is due."""
        resolve = self._resolve if self._intake is not None else None
        total = await self._store.tick(resolve=resolve)
        while total.more:
            total = total.and_then(await self._store.tick(resolve=resolve))
        if total.rescued:
            log.warning("%d leases ran out and were rescued", total.rescued, extra=about("leases.rescued"))
        if total.skipped:
            log.info("%d due times of schedules passed without a job", total.skipped, extra=about("schedules.skipped"))
        await self._ring()
        return total.due_by(await self._watch.look()) if self._watch is not None else total

    async def _ring(self) -> None:
        self._bell.ring_relay()
        for queue in await self._store.queues():
            if queue.depth and not queue.paused:
                await self._bell.ring_queue(queue.name, queue.depth)
        cursors = await self._store.cursors()
        statistics = cursors.get(STATISTICS_CURSOR, 0)
        if self._watch is not None and self._watch.statistics_at is not None:
            statistics = min(statistics, self._watch.statistics_at)  # their store was emptied, and the copy of the cursor does not know
        cursor = min(statistics, cursors.get(EVENT_LOG_CURSOR, statistics))
        if cursor < await self._store.head():
            await self._bell.ring_readers()
        await self._store.resolve_dead_letters(self._readers, cursor, self._claimers)
