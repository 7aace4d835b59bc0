"""Brings one reader up to the feed, and keeps trying while its store is away."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from contracts.errors import ObservatoryError, Passing, StoreUnavailable
from contracts.event import Event
from contracts.log_fields import about
from functions.metrics_engine.readers import READ, Reader
from functions.stores import faults
from functions.stores.job_store import JobStore

log = logging.getLogger("observatory.metrics_engine")
FOLD = 2_000
KEPT = 20_000  # arrived events in memory; the rest is read from the feed
FIRST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE_OF_FEED = 0.25, 15.0, 1.0
SAVE_SECONDS = 1.0
LOOK_SECONDS = 5.0  # at most so often a repeat makes it look where the cursor is
DRAIN_SECONDS = 20.0
HEAD = 1 << 62


class Away(Passing):
    """A reader's own store is away. What it missed is in the feed, and it goes on by itself."""


class Follower:
    """One reader, one batch at a time. The work is a task that ends when nothing is left to do, and that tries again after a
    pause when something is away. The cursor's copy in the job store, for retention and the scheduler, may be late."""

    def __init__(self, feed: JobStore, reader: Reader) -> None:
        self.reader = reader
        self._feed = feed
        self._arrived: dict[int, Event] = {}  # by position: waiting to be taken
        self._waiting: list[tuple[int, asyncio.Future[int]]] = []  # who waits for which position, in order of asking
        self._target = 0
        self._wishes = 0  # how many there were: tells one that came during a step from those that it fulfilled
        self._look_again = False
        self._looked_at = 0.0
        self._cursor: int | None = None  # as last seen; each write checks it
        self._fault: ObservatoryError | None = None
        self._pause = FIRST_PAUSE
        self._hurry = asyncio.Event()
        self._saved: int | None = None
        self._saved_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._ends = False

    # ---- asking -----------------------------------------------------------------------------------------------

    async def reach(self, events: Sequence[Event]) -> int:
        """Goes up to the last of these events, at most to the head of the feed; returns where it stands.

        Raises Away when the reader's store is away (it goes on without the caller), StoreUnavailable when the feed is.
        """
        if isinstance(self._fault, Away):
            raise self._fault
        last = max(event.position for event in events)
        self._look_for_what_was_lost(last)
        if len(self._arrived) < KEPT:
            self._arrived.update((event.position, event) for event in events)
        try:
            return await self._asked_for(last)
        finally:
            for event in events:
                self._arrived.pop(event.position, None)

    async def catch_up(self) -> int:
        """Goes to the head of the feed; returns where it stands. Raises like `reach`."""
        self._look_again = True
        return await self._asked_for(HEAD)

    def ring(self, position: int) -> None:
        """Goes up to a position, without a wait."""
        self._look_for_what_was_lost(position)
        self._want(position)

    def wake(self) -> None:
        """Like `catch_up`, without a wait: looks where the cursor is, for the store may have been emptied."""
        self._look_again = True
        self._hurry.set()
        self._want(HEAD)

    def _look_for_what_was_lost(self, position: int) -> None:
        """An event that was taken already may ring because the reader's store was emptied."""
        if self._cursor is not None and position <= self._cursor and asyncio.get_running_loop().time() - self._looked_at > LOOK_SECONDS:
            self._look_again = True

    def _asked_for(self, position: int) -> "asyncio.Future[int]":
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((position, future))
        self._hurry.set()
        self._want(position)
        return future

    def _want(self, position: int) -> None:
        self._wishes += 1
        self._target = max(self._target, position)
        if (self._task is None or self._task.done()) and not self._ends:
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"follow-{self.reader.name}")

    async def drain(self) -> None:
        """Finishes what somebody waits for, and begins nothing else."""
        self._ends = True
        self._hurry.set()
        if self._task is not None and not self._task.done():
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._task, DRAIN_SECONDS)
        self._answer_all(StoreUnavailable("this instance is shutting down"))

    # ---- working ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                return await self._follow()
            except Exception as error:
                await self._failed(error)
            if self._ends:
                return
            await self._rest()

    async def _follow(self) -> None:
        while self._waiting or (self._target and not self._ends):
            await self._gather()
            asked, wishes = len(self._waiting), self._wishes
            if self._look_again:
                self._look_again, self._cursor = False, None
            if self._cursor is None:
                self._saved = None  # it may have been set back
                self._cursor, self._looked_at = await self.reader.position(), asyncio.get_running_loop().time()
            more = self._cursor < self._target and await self._step(self._cursor)
            self._recovered()
            self._answer(asked, at_head=not more)
            if not more and wishes == self._wishes:
                self._target = 0
            await self._save(more)

    async def _gather(self) -> None:
        """Lets events come together for a larger batch, unless somebody waits or much is there already."""
        if self.reader.gather_seconds and not self._waiting and self._cursor is not None and self._target < self._cursor + READ:
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self.reader.gather_seconds)

    async def _step(self, after: int) -> bool:
        """One batch, one write; False at the head of the feed."""
        events = self._next_arrived(after)
        if not events:
            events = await self._feed.feed(after, READ)
            has_gaps = not events or events[-1].position - after > len(events)
            if has_gaps and not await self.reader.is_whole(after):
                self._cursor = None
                return True
        if not events:
            return False
        upto = events[-1].position
        # False: another instance was faster; the next step starts where it ended
        self._cursor = upto if await self.reader.take(events, after, upto) else None
        faults.reach("taken")
        return True

    def _next_arrived(self, after: int) -> list[Event]:
        events: list[Event] = []
        while len(events) < FOLD and (event := self._arrived.pop(after + 1 + len(events), None)) is not None:
            events.append(event)
        return events

    def _answer(self, asked: int, at_head: bool) -> None:
        """Those whose position is passed; at the head, all that had asked before it was looked at."""
        if self._cursor is None:
            return
        waiting, self._waiting = self._waiting, []
        for index, (position, future) in enumerate(waiting):
            if position > self._cursor and not (at_head and index < asked):
                self._waiting.append((position, future))
            elif not future.done():
                future.set_result(self._cursor)

    def _answer_all(self, error: ObservatoryError) -> None:
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(error)

    async def _save(self, more: bool) -> None:
        """The copy of the cursor; while there is more to do, not after each step."""
        now = asyncio.get_running_loop().time()
        if not self.reader.elsewhere or self._cursor is None or self._cursor == self._saved or (more and now - self._saved_at < SAVE_SECONDS):
            return
        await self._feed.advance(self.reader.name, self._cursor)
        self._saved, self._saved_at = self._cursor, now

    # ---- while something is away ------------------------------------------------------------------------------

    async def _failed(self, error: Exception) -> None:
        known, self._fault = self._fault, await self._fault_of(error)
        self._arrived.clear()
        self._target, self._cursor = HEAD, None
        if known is None or str(known) != str(self._fault):
            log.warning("%s: %s; tries until it answers, and nothing is lost", self.reader.what, error,
                        extra=about("reader.away", reader=self.reader.name), exc_info=not isinstance(error, ObservatoryError))  # fmt: skip
        self._answer_all(self._fault)

    async def _fault_of(self, error: Exception) -> ObservatoryError:
        """Whose fault it is: without the feed nothing can be answered, without the reader's store the rest can."""
        try:
            await self._feed.ping()
        except ObservatoryError as fault_of_feed:
            return fault_of_feed
        return Away(str(error))

    async def _rest(self) -> None:
        """A pause, longer each time; whoever asks to look again ends it."""
        longest = LONGEST_PAUSE if isinstance(self._fault, Away) else LONGEST_PAUSE_OF_FEED
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), min(self._pause, longest))
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _recovered(self) -> None:
        if self._fault is not None:
            log.info("%s: goes on", self.reader.what, extra=about("reader.back", reader=self.reader.name))
            self._fault, self._pause = None, FIRST_PAUSE
