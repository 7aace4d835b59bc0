"""Metrics engine: brings the statistics and the event log up to the head of the feed. An event that arrives is a doorbell.

At or below the statistics' cursor there is nothing to do; the next events are folded as they came; beyond a gap the feed is
read up to them. What arrives while a fold is written waits and is folded together, so that a burst costs few writes. The event
log follows by itself, in batches from the feed: nobody waits for it, and nothing but the feed gets into it.

A doorbell whose reader cannot write now is answered 200: the feed holds the event, the reader goes on when its store is back,
and the scheduler rings for whoever is behind. Answered 503, each event of an outage would end as a dead letter.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from contracts.errors import MalformedEvent, ObservatoryError, Passing
from contracts.event import Event
from contracts.event_types import EVENT_TYPES, TICK_TYPE
from functions.metrics_engine.follower import Away, Follower
from functions.metrics_engine.readers import History, Reader, Statistics
from functions.runtime.dead_letters import STRUCTURED, Consumer
from functions.runtime.redaction import Redact, nothing_hidden
from functions.stores.event_log import EVENT_LOG_CURSOR, EventLog
from functions.stores.job_store import JobStore
from functions.stores.stats_store import StatsStore

ATTACH_SECONDS = 1.0
WAIT_SECONDS = 10.0  # a doorbell is held so long while its reader is on the way


class MetricsEngine(Consumer):
    """`event_log`, where it is a store of its own, gets a copy of each event as `redact` gives it."""

    def __init__(
        self, feed: JobStore, stats: StatsStore, event_log: EventLog | None = None, redact: Redact = nothing_hidden
    ) -> None:
        super().__init__(feed)
        self._feed = feed
        self._statistics = Follower(feed, Statistics(feed, stats))
        self._history: Follower | None = None
        if event_log is not None and event_log.elsewhere:
            self._history = Follower(feed, History(feed, event_log, redact))
        self._followers = [self._statistics, *([self._history] if self._history is not None else [])]

    async def ready(self) -> None:
        """A reader whose store is away does not hold up the others: its log and /v1/stores tell of it."""
        await self._feed.ping()

    async def attach(self) -> None:
        """Makes retention wait for these readers from now on, and for no event log that is not there. Raises StoreUnavailable.

        What was lost while nothing ran is found here, before retention goes on; a store that is away is not waited for.
        """
        if self._history is not None:
            await self._feed.advance(EVENT_LOG_CURSOR, 0)
        elif EVENT_LOG_CURSOR in await self._feed.cursors():
            await self._feed.forget_cursor(EVENT_LOG_CURSOR)
        await asyncio.gather(*(self._look(follower.reader) for follower in self._followers))

    @staticmethod
    async def _look(reader: Reader) -> None:
        with contextlib.suppress(ObservatoryError, TimeoutError):
            async with asyncio.timeout(ATTACH_SECONDS):
                await reader.look()

    async def drain(self) -> None:
        """Finishes what is in hand."""
        await asyncio.gather(*(follower.drain() for follower in self._followers))

    async def handle(self, trigger: str, events: Sequence[Event]) -> Sequence[int]:
        """200 for each that is counted, or will be from the feed (or that is kept as a dead letter), 503 when the feed is away."""
        try:
            await self._handle(trigger, await self.valid(trigger, events))
        except Passing:
            return [503] * len(events)
        return [200] * len(events)

    def wake(self) -> None:
        """Lets every reader look where it stands and go to the head of the feed, without a wait."""
        for follower in self._followers:
            follower.wake()

    async def catch_up(self) -> int:
        """Brings every reader to the head of the feed; returns where the last of them stands. Raises StoreUnavailable, Away."""
        return min(await asyncio.gather(*(follower.catch_up() for follower in self._followers)))

    async def _handle(self, trigger: str, events: Sequence[Event]) -> None:
        ours: list[Event] = []
        others: list[Event] = []
        for event in events:
            (ours if self._is_of_the_feed(event) else others).append(event)
        beyond = await self._reach(ours) if ours else []
        if any(event.type == TICK_TYPE for event in others):
            self.wake()
            with contextlib.suppress(Away, TimeoutError):
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._statistics.catch_up()
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
        """Counts up to the last of these events; returns those that the feed does not hold (yet)."""
        if self._history is not None:
            self._history.ring(max(event.position for event in events))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                head = await self._statistics.reach(events)
        except (Away, TimeoutError):  # it goes on without us
            head = await self._feed.head()
        return [event for event in events if event.position > head]
