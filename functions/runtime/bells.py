"""The bells of the scheduler: how it rings again for what a broker forgot."""

import logging
from collections.abc import Callable

from contracts.errors import Passing
from contracts.event import Event
from contracts.event_types import JOB_QUEUED
from contracts.log_fields import about
from contracts.query import query_of
from eventing.publisher import Publisher
from functions.runtime.redaction import Redact
from functions.stores.job_store import PUBLISH_CURSOR, JobStore

log = logging.getLogger("observatory.scheduler")
RINGS = 4  # of a queue, a tick: enough to wake its processor and to let it grow


class PublishedBell:
    """Rings by publishing events again that were published before: doorbells, which change nothing by themselves."""

    def __init__(self, store: JobStore, publisher: Publisher, redact: Redact, nudge_relay: Callable[[], None]) -> None:
        self._store, self._publisher, self._redact, self._nudge_relay = store, publisher, redact, nudge_relay

    def ring_relay(self) -> None:
        self._nudge_relay()

    async def ring_queue(self, queue: str, depth: int) -> None:
        """By the `job.queued` of some of its jobs; which jobs is of no matter."""
        page = await self._store.jobs(query_of("state", ["queued"]).and_also(query_of("queue", [queue])), min(depth, RINGS), None)
        timelines = [await self._store.events_of(f"job/{job.id}") for job in page.items]
        newest = [next((event for event in reversed(events) if event.type == JOB_QUEUED), None) for events in timelines]
        await self._publish([event for event in newest if event is not None])

    async def ring_readers(self) -> None:
        """By the last event that was published: who stands behind it reads the feed up to there."""
        await self._publish(await self._store.feed(max(await self._published() - 1, 0), 1))

    async def _published(self) -> int:
        return (await self._store.cursors()).get(PUBLISH_CURSOR, 0)

    async def _publish(self, events: list[Event]) -> None:
        """Leaves out what the relay has not published yet: it will ring by itself, and `confirmed` must not run ahead of it."""
        published = await self._published() if events else 0
        events = [event for event in events if 0 < event.position <= published]  # 0: no place in the feed yet
        if not events:
            return
        try:
            await self._publisher.publish(await self._redact(events))
        except Passing as error:  # the next tick rings again
            log.warning("nobody can be rung: %s", error, extra=about("bell.waiting"))


class SilentBell:
    """For a scheduler alone with the embedded store: nobody else is there to hear. What it commits stays past the
    publish cursor, and the next full start rings it."""

    def ring_relay(self) -> None:
        return None

    async def ring_queue(self, queue: str, depth: int) -> None:
        return None

    async def ring_readers(self) -> None:
        return None
