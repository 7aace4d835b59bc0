"""The thread that talks to the server: it reads what the screen wants, follows the live stream, and does what is asked.

The screen never waits for it: it hands over wants and acts, and gets messages. While the server is away one probe at a
time is sent, at growing intervals, and everything starts again by itself when it answers.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from console.state import QUIET_SECONDS, Act, Acted, Happened, Message, Received, Refused, Unreached, Want

TIMEOUT_SECONDS = 4.0
PAUSES = (0.5, 1.0, 2.0, 3.0, 5.0)  # between tries while the server is away
GATHER_SECONDS = 0.1  # events of the stream are handed over together
MOST_EVENTS = 200
AT_ONCE = 4


class Link:
    """`post` takes messages from this thread; it must not block."""

    def __init__(self, url: str, key: str | None, post: Callable[[Message], None]) -> None:
        self._url, self._key, self._post = url, key, post
        self._wants: frozenset[Want] = frozenset()
        self._read_at: dict[Want, float] = {}
        self._stirred_at = 0.0
        self._tries = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._early: list[Callable[[], Any]] = []  # asked for before the thread was up
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    # ---- from the screen's thread --------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Lets the thread end; what is under way is dropped."""
        self._call(lambda: self._stopping.set())
        self._thread.join(1.0)

    def want(self, wants: frozenset[Want]) -> None:
        """From now on these are read; those that are new at once."""
        if wants != self._wants:
            self._wants = wants
            self._call(lambda: self._look.set())

    def refresh(self) -> None:
        """Reads everything anew."""
        self._call(self._forget)

    def act(self, act: Act) -> None:
        self._call(lambda: self._hold(asyncio.ensure_future(self._act(act))))

    def _call(self, work: Callable[[], Any]) -> None:
        if not self._ready.is_set():
            self._early.append(work)
        elif self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(work)

    # ---- in the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with contextlib.suppress(Exception):
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._look, self._stopping = asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._ready.set()
        from console.api.async_client import AsyncClient
        from console.api.exchange import Patience

        self._client = AsyncClient(self._url, self._key, timeout=TIMEOUT_SECONDS, patience=Patience(0.0, 0.0))
        for work in self._early:
            work()
        self._hold(asyncio.ensure_future(self._read_on()))
        self._hold(asyncio.ensure_future(self._listen()))
        await self._stopping.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _hold(self, task: "asyncio.Future[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _forget(self) -> None:
        self._read_at.clear()
        self._look.set()

    # ---- reading -------------------------------------------------------------------------------------------------

    async def _read_on(self) -> None:
        while True:
            due = self._due(time.monotonic())
            self._look.clear()
            if due:
                await self._read_all(due)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._pause(time.monotonic()))

    def _due(self, now: float) -> list[Want]:
        return [want for want in self._wants if self._due_at(want) <= now]

    def _due_at(self, want: Want) -> float:
        read_at = self._read_at.get(want)
        if read_at is None:
            return 0.0
        if not want.every:
            return float("inf")
        return read_at + (want.every if self._stirred_at > read_at - want.every else max(want.every, QUIET_SECONDS))

    def _pause(self, now: float) -> float:
        return min(max(min((self._due_at(want) for want in self._wants), default=now + 1.0) - now, 0.02), 1.0)

    async def _read_all(self, wants: list[Want]) -> None:
        first, *rest = wants
        if not await self._read(first):  # one probe is enough to know that nobody answers
            pause = PAUSES[min(self._tries, len(PAUSES) - 1)]
            self._tries += 1
            self._post(Unreached(self._reason, self._tries, pause, time.monotonic()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            return
        self._tries = 0
        await asyncio.gather(*(self._read(want) for want in rest))

    async def _read(self, want: Want) -> bool:
        """Reads one; False when nobody answered."""
        from console.api.errors import NotAnObservatory, ObservatoryApiError, ServerUnreachable

        async with self._gate:
            begun = time.monotonic()
            try:
                document = await self._document(want)
            except ObservatoryApiError as error:
                if error.status in (502, 503, 504):
                    self._reason = str(error)
                    return False
                self._read_at[want] = begun
                self._post(Refused(want, error.status, str(error), time.monotonic()))
                return True
            except (ServerUnreachable, NotAnObservatory) as error:
                self._reason = str(error)
                return False
        self._read_at[want] = begun
        if want in self._wants:
            self._post(Received(want, document, time.monotonic()))
        return True

    _reason = ""

    async def _document(self, want: Want) -> Any:
        if want.as_text:
            return await self._client.get_text(want.path)
        return await self._client.get(want.path, **dict(want.query))

    # ---- the live stream -----------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        from contracts.errors import ObservatoryError

        while True:
            try:
                await self._gather(self._client.stream(patience_seconds=0.0))
            except ObservatoryError:  # the reading says that nobody answers
                await asyncio.sleep(1.0)

    async def _gather(self, items: Any) -> None:
        waiting: list[Mapping[str, Any]] = []
        told: asyncio.Future[None] | None = None

        async def tell() -> None:
            await asyncio.sleep(GATHER_SECONDS)
            events, waiting[:] = waiting[-MOST_EVENTS:], []
            self._post(Happened(tuple(events), time.monotonic()))

        async for item in items:
            self._stirred_at = time.monotonic()
            if item.event is None:
                self._forget()
                continue
            waiting.append(item.event)
            del waiting[:-MOST_EVENTS]
            if told is None or told.done():
                self._look.set()
                told = asyncio.ensure_future(tell())
                self._hold(told)

    # ---- acting --------------------------------------------------------------------------------------------------

    async def _act(self, act: Act) -> None:
        from console.api.errors import ObservatoryApiError
        from contracts.errors import ObservatoryError

        try:
            document = await self._client.send(act.method, act.path, act.body)
        except ObservatoryApiError as error:
            faults = tuple((fault.pointer, fault.message) for fault in getattr(error, "faults", ()))
            self._post(Acted(act, None, str(error), faults))
        except ObservatoryError as error:
            self._post(Acted(act, None, str(error)))
        else:
            self._post(Acted(act, document))
