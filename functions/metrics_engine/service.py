"""Metrics engine: folds the feed into the statistics. An event that arrives is a doorbell.

At or below the cursor there is nothing to do; the next ones are folded as they came; beyond a gap the feed is read up to
them. What arrives while a fold is written waits and is folded together, so that a burst costs few writes.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from contracts.errors import MalformedEvent, ObservatoryError, Passing
from contracts.event import Event
from contracts.event_types import EVENT_TYPES, TICK_TYPE
from contracts.log_fields import about
from contracts.statistics import fold, merge
from functions.runtime.dead_letters import STRUCTURED, Consumer
from functions.stores.event_log import EventLog
from functions.stores.job_store import JobStore
from functions.stores.stats_store import StatsStore

log = logging.getLogger("observatory.metrics_engine")
READ = 1_000
FOLD = 2_000


class MetricsEngine(Consumer):
    """`event_log` gets a copy of each event, as `redact` gives it, before the cursor passes it (None: no copy is kept)."""

    def __init__(
        self, feed: JobStore, stats: StatsStore, event_log: EventLog | None = None, redact: Callable[[Event], Event] | None = None
    ) -> None:
        super().__init__(feed)
        self._feed, self._stats, self._event_log = feed, stats, event_log
        self._redact = redact or (lambda event: event)
        self._arrived: dict[int, Event] = {}  # by position: waiting for their fold
        self._one_at_a_time = asyncio.Lock()
        self._cursor: int | None = None  # as last seen; each write checks it

    async def ready(self) -> None:
        await self._feed.ping()

    async def drain(self) -> None:
        """Waits for the fold in hand."""
        async with self._one_at_a_time:
            return

    async def handle(self, trigger: str, events: Sequence[Event]) -> Sequence[int]:
        """200 for each once it is in the statistics (or kept as a dead letter), 503 when the store is away."""
        try:
            await self._handle(trigger, await self.valid(trigger, events))
        except Passing:
            return [503] * len(events)
        return [200] * len(events)

    async def catch_up(self) -> int:
        """Folds the feed up to its head; returns the cursor. Raises StoreUnavailable."""
        async with self._one_at_a_time:
            while await self._step():
                pass
            return await self._position()

    async def _handle(self, trigger: str, events: Sequence[Event]) -> None:
        ours: list[Event] = []
        others: list[Event] = []
        for event in events:
            (ours if self._is_of_the_feed(event) else others).append(event)
        beyond = await self._reach(ours) if ours else []
        if any(event.type == TICK_TYPE for event in others):
            await self.catch_up()
        for event in others:
            if event.type != TICK_TYPE:
                await self._put_aside(trigger, MalformedEvent("it is no event of this system's feed"), event)
        for event in beyond:
            await self._put_aside(trigger, MalformedEvent(f"its position {event.position} is beyond the head of the feed"), event)

    def _is_of_the_feed(self, event: Event) -> bool:
        kind = EVENT_TYPES.get(event.type)
        return kind is not None and kind.logged and event.position > 0 and event.source == self._feed.source

    async def _put_aside(self, trigger: str, error: ObservatoryError, event: Event) -> None:
        await self.refuse(trigger, error, {"content-type": STRUCTURED}, event.canonical(), event)

    async def _reach(self, events: Sequence[Event]) -> list[Event]:
        """Folds up to the last of these events; returns those that the feed does not hold (yet)."""
        target = max(event.position for event in events)
        self._arrived.update((event.position, event) for event in events)
        try:
            async with self._one_at_a_time:
                while await self._position() < target and await self._step():
                    pass
                cursor = await self._position()
        finally:
            for event in events:
                self._arrived.pop(event.position, None)
        return [event for event in events if event.position > cursor]

    async def _position(self) -> int:
        if self._cursor is None:
            self._cursor = await self._stats.cursor()
            if self._cursor < await self._feed.dropped():
                await self._begin_anew()
        return self._cursor

    async def _begin_anew(self) -> None:
        """Statistics that were lost, or are older than what retention dropped, begin at the checkpoint: its sums and the fold
        of what is left below it, in one write with the cursor."""
        await self._stats.clear()
        checkpoint = await self._feed.checkpoint()
        assert checkpoint is not None
        delta, after = checkpoint.sums, 0
        while after < checkpoint.position and (events := await self._feed.feed(after, READ)):
            events = [event for event in events if event.position <= checkpoint.position]
            delta, after = merge(delta, fold(events)), events[-1].position if events else checkpoint.position
        again = await self._feed.checkpoint()
        done = again is not None and again.position == checkpoint.position and again.jobs == checkpoint.jobs
        if done and await self._stats.apply(delta, 0, checkpoint.position):
            log.warning("the statistics were rebuilt from the checkpoint at %d", checkpoint.position, extra=about("statistics.rebuilt"))
        self._cursor = await self._stats.cursor()

    async def _step(self) -> bool:
        """One fold, one write; False at the head of the feed."""
        after = await self._position()
        events = self._next_arrived(after) or await self._feed.feed(after, READ)
        if not events:
            return False
        if self._event_log is not None:
            await self._event_log.insert_batch([self._redact(event) for event in events])
        upto = events[-1].position
        # False: another instance was faster; the next step starts where it ended
        self._cursor = upto if await self._stats.apply(fold(events), after, upto) else None
        return True

    def _next_arrived(self, after: int) -> list[Event]:
        events: list[Event] = []
        while len(events) < FOLD and (event := self._arrived.pop(after + 1 + len(events), None)) is not None:
            events.append(event)
        return events
