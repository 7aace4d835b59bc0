"""The readers of the feed: the statistics, and the event log. Each has a cursor of its own, saved with what it writes."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from contracts.event import Event
from contracts.log_fields import about
from contracts.statistics import fold, merge
from functions.runtime.redaction import Redact
from functions.stores.event_log import EVENT_LOG_CURSOR, EventLog
from functions.stores.job_store import STATISTICS_CURSOR, JobStore
from functions.stores.stats_store import StatsStore

log = logging.getLogger("observatory.metrics_engine")
READ = 1_000


class Reader(Protocol):
    """What follows the feed. Every method may raise StoreUnavailable, of its own store or of the feed."""

    name: str
    """The cursor's name in the job store, and the reader's in logs."""
    what: str
    """For people."""
    gather_seconds: float
    """How long events may wait for others, so that one write holds many."""

    @property
    def elsewhere(self) -> bool:
        """Whether its cursor is kept in another store than the feed, which then gets a copy of it."""

    async def look(self) -> int:
        """Where it stands; from there on retention waits for it, also when the copy of its cursor told of more."""

    async def position(self) -> int:
        """Where it stands, once whatever must come first is done."""

    async def is_whole(self, after: int) -> bool:
        """Whether it may take what was just read of the feed past a position; False when retention has dropped some of it that it does
        not know of: it must ask for its position anew."""

    async def take(self, events: Sequence[Event], after: int, upto: int) -> bool:
        """Writes events and the cursor; False when the cursor is not at `after` any more."""


async def _held(feed: JobStore, name: str, stands_at: Callable[[], Awaitable[int]]) -> int:
    """A reader's cursor. The copy is looked at first: only when something was lost does it tell of more than the cursor."""
    copy = (await feed.cursors()).get(name, 0)
    cursor = await stands_at()
    if copy > cursor:
        await feed.set_back(name, cursor)
    return cursor


class Statistics:
    """Folds events into the statistics; begins anew where what it needs was dropped."""

    name, what, gather_seconds = STATISTICS_CURSOR, "the statistics", 0.0

    def __init__(self, feed: JobStore, stats: StatsStore) -> None:
        self._feed, self._stats = feed, stats

    @property
    def elsewhere(self) -> bool:
        return self._stats.elsewhere

    async def look(self) -> int:
        return await _held(self._feed, self.name, self._stats.cursor)

    async def position(self) -> int:
        while True:
            cursor = await self.look()
            if cursor > await self._feed.head():
                log.warning("the statistics are ahead of the feed, which came back from a copy; they begin anew", extra=about("statistics.cleared"))
                await self._stats.clear()
            elif cursor < await self._feed.dropped():
                await self._begin_anew()
            else:
                return cursor

    async def is_whole(self, after: int) -> bool:
        return after >= await self._feed.dropped()

    async def take(self, events: Sequence[Event], after: int, upto: int) -> bool:
        return await self._stats.apply(fold(events), after, upto)

    async def _begin_anew(self) -> None:
        """Statistics that were lost, or are older than what retention dropped, begin at the checkpoint: its sums and the fold
        of what is left below it, in one write with the cursor. Meanwhile nothing is dropped; if something was, nothing is written."""
        await self._feed.set_back(self.name, 0)
        await self._stats.clear()
        checkpoint = await self._feed.checkpoint()
        assert checkpoint is not None
        delta, after = checkpoint.sums, 0
        while after < checkpoint.position and (events := await self._feed.feed(after, READ)):
            events = [event for event in events if event.position <= checkpoint.position]
            delta, after = merge(delta, fold(events)), events[-1].position if events else checkpoint.position
        if await self._feed.checkpoint() == checkpoint and await self._stats.apply(delta, 0, checkpoint.position):
            log.warning("the statistics were rebuilt from the checkpoint at %d", checkpoint.position, extra=about("statistics.rebuilt"))


class History:
    """Keeps a redacted copy of every event in the event log."""

    name, what, elsewhere, gather_seconds = EVENT_LOG_CURSOR, "the event log", True, 0.25

    def __init__(self, feed: JobStore, event_log: EventLog, redact: Redact) -> None:
        self._feed, self._event_log, self._redact = feed, event_log, redact
        self._gap = 0  # up to where the event log is known to have a gap

    async def look(self) -> int:
        return await _held(self._feed, self.name, self._stands_at)

    async def _stands_at(self) -> int:
        return (await self._event_log.extent()).last

    async def position(self) -> int:
        cursor, head = await self.look(), await self._feed.head()
        if cursor > head:
            log.warning("the event log is ahead of the feed, which came back from a copy; what lies beyond is cut", extra=about("event_log.cut"))
            await self._event_log.cut(head)
            return head
        if cursor < (dropped := await self._feed.dropped()):
            await self._event_log.note_gap(dropped)
            self._gap = dropped
            log.warning("the event log begins anew after %d; of the events up to %d it gets what the job store still keeps", cursor, dropped,
                        extra=about("event_log.gap"))  # fmt: skip
        return cursor

    async def is_whole(self, after: int) -> bool:
        return await self._feed.dropped() <= max(after, self._gap)

    async def take(self, events: Sequence[Event], after: int, upto: int) -> bool:
        return await self._event_log.insert_batch(await self._redact(events), after, upto)
