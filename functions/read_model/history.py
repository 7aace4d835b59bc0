"""Events as one history: the newest from the job store, what retention dropped there from the event log."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.errors import JobNotFound, Passing
from contracts.event import Event
from functions.stores.event_log import EventLog, Extent, bucket_of_position
from functions.stores.job_store import JobStore

BUCKETS_A_PAGE = 5  # looked through for what is rare
SUBJECT_EVENTS = 1_000
WHOLE_STREAM = 100_000  # a job that tells its progress each second of a day has 86,400 events
EXTENT_SECONDS = 2.0  # so long what the event log said of itself is believed


@dataclass(frozen=True, slots=True)
class Past:
    """A page of events, newest first; from position `complete_from` on nothing is missing. The next cursor is a position."""

    items: list[Event]
    next_cursor: str | None
    complete_from: int


class History:
    """The job store's feed, and below what was dropped there the event log, where that is a store of its own."""

    def __init__(self, store: JobStore, event_log: EventLog) -> None:
        self._store, self._event_log = store, event_log
        self._extent: tuple[float, Extent | None] = (-EXTENT_SECONDS, None)

    async def events(self, types: Sequence[str], stream: str | None, limit: int, before: int | None) -> Past:
        """Events of any of these types (none: all) and of a stream (None: all), newest first below a position.

        As of the job store, a page may hold fewer than `limit` and still have a next one. Raises EventLogUnavailable when
        nothing but the event log holds what comes next.
        """
        dropped = await self._store.dropped()
        extent = await self._kept() if dropped else None
        kept_there = min(dropped, extent.last) if extent is not None else dropped
        if not self._event_log.elsewhere:
            kept_there = 0
        complete_from = extent.complete_from if extent is not None and extent.last >= dropped else dropped + 1
        found: list[Event] = []
        below = kept_there + 1
        if before is None or before > below:
            page = await self._store.find_events(types, stream, limit, before)
            found = [event for event in page.items if event.position > kept_there]
            more = page.next_cursor is not None and int(page.next_cursor) > below and len(found) == len(page.items)
            if more or not kept_there:
                return Past(found, page.next_cursor, complete_from)
            if found:  # the event log's turn is the next page's
                return Past(found, str(below), complete_from)
        if not kept_there:
            return Past([], None, complete_from)
        older, next_cursor = await self._older(types, stream, limit, below if before is None else min(before, below))
        return Past(older, next_cursor, complete_from)

    async def timeline(self, job_id: str, after_sequence: int, limit: int) -> list[Event]:
        """A job's events past a sequence, in order; also of a job that was dropped. Raises JobNotFound."""
        found = await self._store.events_of(f"job/{job_id}", after_sequence, limit)
        if found:
            return found
        try:
            await self._store.job(job_id)
        except JobNotFound:
            kept = await self._event_log.of_subject(f"job/{job_id}", WHOLE_STREAM)
            if not kept:
                raise
            return [event for event in kept[::-1] if int(event.document["sequence"]) > after_sequence][:limit]
        return []

    async def _kept(self) -> Extent | None:
        """None while the event log is away."""
        now = asyncio.get_running_loop().time()
        asked_at, extent = self._extent
        if now - asked_at >= EXTENT_SECONDS:
            try:
                extent = await self._event_log.extent()
            except Passing:
                extent = None
            self._extent = (now, extent)
        return extent

    async def _older(self, types: Sequence[str], stream: str | None, limit: int, below: int) -> tuple[list[Event], str | None]:
        if stream is not None:
            return await self._older_of(self._event_log, stream, types, limit, below)
        first = bucket_of_position((await self._event_log.extent()).first)
        bucket = bucket_of_position(below - 1)
        found: list[Event] = []
        for current in range(bucket, max(bucket - BUCKETS_A_PAGE, first - 1), -1):
            bucket = current
            events = await self._event_log.of_bucket(bucket)
            found += [event for event in events[::-1] if event.position < below and (not types or event.type in types)]
            if len(found) > limit:
                return found[:limit], str(found[limit - 1].position)
        return found, str(bucket * 1_000) if bucket > first else None

    @staticmethod
    async def _older_of(event_log: EventLog, stream: str, types: Sequence[str], limit: int, below: int) -> tuple[list[Event], str | None]:
        events = await event_log.of_subject(stream, SUBJECT_EVENTS if types else limit + 1, before=below)
        found = [event for event in events if not types or event.type in types]
        if len(found) > limit:
            return found[:limit], str(found[limit - 1].position)
        whole = len(events) < (SUBJECT_EVENTS if types else limit + 1)
        return found, None if whole else str(events[-1].position)
