"""The live stream: one tail of the feed a process, shared by all who watch.

The tail holds the last events as ready bytes, and each watcher takes from them by position, so a watcher costs no copy of
its own. Who asks for older events, or falls behind what is held, reads the store until it has caught up; who falls behind
because it reads slowly is let go, and resumes by its last position without gap or repeat. A query picks events by their jobs, each as its event
left it, so that what a stream tells does not hang on when it is read.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Sequence

import orjson

from contracts.errors import Draining, Overloaded, Passing
from contracts.event import Event
from contracts.log_fields import about
from contracts.query import Query
from functions.read_model.frames import EVERYTHING, HELD_EVENTS, Frame, Held, Wanted, frame_of
from functions.read_model.jobs_then import JobsThen
from functions.runtime.redaction import Redact
from functions.stores.job_store import JobStore

log = logging.getLogger("observatory.stream")
HEARTBEAT_SECONDS = 15.0
POLL_SECONDS = 1.0
READ = 500
READ_OLDER = 200
CHUNK_BYTES = 131_072
LOOK = 500  # frames at a time
GROUPS = 64  # of watchers
SPREAD_SECONDS = 0.0005  # a watcher
SLOW_SECONDS = 1.0  # a reader that needs longer for a piece, and falls behind what is held, is dropped
RETRY_MILLISECONDS = 2_000


class Hub:
    """All live streams of this process. It costs nothing while nobody watches."""

    def __init__(
        self,
        store: JobStore,
        redact: Redact,
        *,
        most: int = 500,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._store, self._redact, self._most = store, redact, most
        self._heartbeat_seconds, self._poll_seconds = heartbeat_seconds, poll_seconds
        self._held: Held | None = None
        self._arrived: list[Event] = []
        self._missed = False
        self._jobs = JobsThen(store, redact)
        self._folding = asyncio.Lock()
        self._wake = asyncio.Event()
        self._news = [asyncio.Event() for _ in range(GROUPS)]
        self._opened = 0
        self._starting = asyncio.Lock()
        self._reading = asyncio.Semaphore(1)  # those who catch up leave the other readers their turn
        self._tail: asyncio.Task[None] | None = None
        self._closed = False
        self.watchers = 0
        store.on_committed(self._committed, lambda: self.watchers > 0)

    def check_room(self) -> None:
        """Raises Overloaded when all streams are taken, Draining at the end."""
        if self._closed:
            raise Draining
        if self.watchers >= self._most:
            raise Overloaded(f"{self.watchers} live streams are open, and more are not allowed (OBSERVATORY_STREAMS_MAX)")

    async def close(self) -> None:
        """Ends all streams cleanly."""
        self._closed = True
        await self._tell()
        if self._tail is not None:
            self._tail.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tail

    # ---- the tail ---------------------------------------------------------------------------------------------

    def _committed(self, events: Sequence[Event]) -> None:
        """In the writer's way, so it only takes note."""
        if not self.watchers:
            return
        if len(self._arrived) + len(events) > HELD_EVENTS:
            self._arrived, self._missed = [], True
        else:
            self._arrived.extend(events)
        self._wake.set()

    async def _start(self) -> Held:
        async with self._starting:
            if self._held is None:
                self._arrived, self._missed = [], False
                self._held = Held(await self._store.head())
                self._tail = asyncio.create_task(self._follow_feed(self._held), name="stream-tail")
            return self._held

    def _stop(self) -> None:
        if self._tail is not None:
            self._tail.cancel()
        self._held = self._tail = None
        self._arrived = []

    async def _follow_feed(self, held: Held) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._wake.wait()
            self._wake.clear()
            try:
                events = await self._redact(self._take_arrived(held.last) or await self._read_on(held))
            except Passing as error:
                log.warning("the live streams wait: %s", error, extra=about("stream.waiting"))
                continue
            except Exception:
                log.exception("the live streams wait", extra=about("stream.waiting"))
                continue
            if events:
                held.add([frame_of(event) for event in events])
                await self._tell(self.watchers * SPREAD_SECONDS)
                if len(events) >= READ:
                    self._wake.set()
            await asyncio.sleep(0.02)  # what comes within a moment goes out together

    async def _read_on(self, held: Held) -> Sequence[Event]:
        """What follows in the feed; where retention was faster, what follows after that: each watcher finds the hole by itself."""
        events = await self._store.feed(held.last, READ)
        if events and not await self._is_whole(events, held.last):
            held.begin_at(await self._store.dropped())
            events = [event for event in events if event.position > held.last]
        return events

    def _take_arrived(self, last: int) -> list[Event]:
        """What the commits told, when it follows on; else nothing, and the feed is read."""
        events, self._arrived = [event for event in self._arrived if event.position > last], []
        missed, self._missed = self._missed, False
        if missed or not events or events[0].position != last + 1:
            return []
        return events

    async def _tell(self, spread_seconds: float = 0.0) -> None:
        """Wakes the watchers group by group, over so long a time: a request that comes meanwhile waits for few of them."""
        for group, news in enumerate(self._news):
            self._news[group] = asyncio.Event()
            news.set()
            await asyncio.sleep(spread_seconds / GROUPS)

    # ---- watching ---------------------------------------------------------------------------------------------

    async def watch(self, after: int | None, wanted: Wanted = EVERYTHING) -> AsyncGenerator[bytes, None]:
        """The bytes of a stream from past a position (None: from now on), until the hub closes or the watcher lags."""
        self.watchers += 1
        self._opened += 1
        group = self._opened % GROUPS
        try:
            held = await self._start()
            position, reset = await self._place(after, held)
            yield b"retry: %d\nid: %d\n\n%s" % (RETRY_MILLISECONDS, position, reset)
            took = 0.0  # seconds that the reader needed for the last piece
            while not self._closed:
                if position >= held.floor:
                    news = self._news[group]
                    chunk, position = await self._chunk(held.after(position), wanted, position)
                    if not chunk and position < held.last:
                        await asyncio.sleep(0)  # others get their turn
                    elif not chunk and not await self._hears(news):
                        chunk = b": nothing new\nid: %d\n\n" % position
                elif took > SLOW_SECONDS:
                    return
                elif (frames := await self._older(position)) is not None:
                    chunk, position = await self._chunk(frames, wanted, position)
                else:  # retention was faster than this reader
                    chunk, position = _reset(await self._store.dropped())
                if chunk:
                    began = time.monotonic()
                    yield chunk
                    took = time.monotonic() - began
        except Passing as error:
            log.info("a live stream ends: %s", error, extra=about("stream.ended"))
        finally:
            self.watchers -= 1
            if not self.watchers:
                self._stop()

    async def _place(self, after: int | None, held: Held) -> tuple[int, bytes]:
        """Where to begin, and what to say first when the events past `after` are not all to be had."""
        if after is None:
            return held.last, b""
        head = held.last if after <= held.last else await self._store.head()
        dropped = await self._store.dropped()
        if dropped <= after <= head:
            return after, b""
        told, position = _reset(head if after > head else dropped)
        return position, told

    async def _older(self, position: int) -> list[Frame] | None:
        """What follows a position; None when some of it was dropped."""
        async with self._reading:
            events = await self._store.feed(position, READ_OLDER)
            if not await self._is_whole(events, position):
                return None
            shown = await self._redact(events)
        return [frame_of(event) for event in shown]

    async def _is_whole(self, events: Sequence[Event], after: int) -> bool:
        """Whether nothing of what was just read past a position was dropped before. Without a hole nobody need ask."""
        return (bool(events) and events[-1].position - after == len(events)) or await self._store.dropped() <= after

    async def _hears(self, news: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._heartbeat_seconds):
                return await news.wait()
        except TimeoutError:
            return False

    async def _chunk(self, frames: Sequence[Frame], wanted: Wanted, position: int) -> tuple[bytes, int]:
        """The next wanted frames as one piece of bounded size, and the position of the last frame that was looked at."""
        texts, size = [], 0
        for frame in frames[:LOOK]:
            if wanted is EVERYTHING or (wanted.takes(frame.event) and (wanted.query is None or await self._fits(frame, wanted.query))):
                texts.append(frame.text)
                size += len(frame.text)
            position = frame.position
            if size >= CHUNK_BYTES:
                break
        return b"".join(texts), position

    async def _fits(self, frame: Frame, query: Query) -> bool:
        """Whether an event's job, as the event left it, fits a query. The job is folded once for all who ask."""
        if not frame.is_asked:
            async with self._folding:
                if not frame.is_asked:
                    frame.then, frame.is_asked = await self._jobs.after(frame.event), True
        then = frame.then
        if then is None:
            return False
        outputs = await self._jobs.outputs(then) if query.reads_output else ()
        return query.matches(then.job, now=then.now, outputs=outputs)


def _reset(position: int) -> tuple[bytes, int]:
    """What tells a watcher that events are missing, and the position from which it goes on."""
    data = orjson.dumps({"position": position, "reason": "the stream cannot go on from where you were; read anew, and go on from here"})
    return b"id: %d\nevent: reset\ndata: %s\n\n" % (position, data), position
