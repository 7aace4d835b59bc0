"""The thread that talks to the server: it reads what the screen wants, follows the live stream, and does what is asked.

The screen never waits for it: it hands over wants and acts, and gets messages.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from console.messages import Act, Acted, Happened, Message, Want

TIMEOUT_SECONDS = 4.0
ACT_SECONDS = 20.0  # a change may take longer than a read, and is not repeated by itself
GATHER_SECONDS = 0.1  # events of the stream are handed over together
MOST_EVENTS = 200
ACTS_AT_ONCE = 4


class Link:
    """`post` takes messages from this thread; it must not block. A link that was stopped posts nothing more."""

    def __init__(self, url: str, key: str | None, post: Callable[[Message], None]) -> None:
        self._url, self._key, self._hand_over = url, key, post
        self._stopped = False
        self._wants: frozenset[Want] = frozenset()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._early: list[Callable[[], Any]] = []  # asked for before the thread was up
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    # ---- from the screen's thread -------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Lets the thread end, and does not wait for it; what is under way is dropped."""
        self._stopped = True
        self._call(lambda: self._stopping.set())

    def want(self, wants: frozenset[Want]) -> None:
        """From now on these are read; those that are new at once."""
        if wants != self._wants:
            self._wants = wants
            self._call(lambda: self._reader.want(wants))

    def refresh(self) -> None:
        """Reads everything anew."""
        self._call(lambda: self._reader.forget())

    def act(self, act: Act) -> None:
        self._call(lambda: self._hold(self._act(act)))

    def _call(self, work: Callable[[], Any]) -> None:
        with self._lock:
            if self._loop is None:
                self._early.append(work)
                return
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(work)

    def _post(self, message: Message) -> None:
        if not self._stopped:
            self._hand_over(message)

    # ---- in the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with contextlib.suppress(Exception):
            asyncio.run(self._main())

    async def _main(self) -> None:
        from console.api.async_client import AsyncClient
        from console.api.exchange import Patience
        from console.reader import Reader

        client = AsyncClient(self._url, self._key, timeout=TIMEOUT_SECONDS, patience=Patience(0.0, 0.0))
        self._changing = AsyncClient(self._url, self._key, timeout=ACT_SECONDS, patience=Patience(0.0, 0.0))
        self._stopping, self._acting = asyncio.Event(), asyncio.Semaphore(ACTS_AT_ONCE)
        self._tasks: set[asyncio.Future[Any]] = set()
        self._reader = Reader(client, self._post)
        with self._lock:
            self._loop = asyncio.get_running_loop()
            early, self._early = self._early, []
        for work in early:
            work()
        self._hold(self._reader.run())
        self._hold(self._listen(client))
        await self._stopping.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _hold(self, work: Any) -> "asyncio.Future[Any]":
        task: asyncio.Future[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ---- the live stream ----------------------------------------------------------------------------------------

    async def _listen(self, client: Any) -> None:
        from contracts.errors import ObservatoryError

        while True:
            with contextlib.suppress(ObservatoryError):  # the reading says that nobody answers
                await self._gather(client.stream(patience_seconds=0.0))
            await asyncio.sleep(1.0)

    async def _gather(self, items: Any) -> None:
        waiting: list[Mapping[str, Any]] = []
        told: asyncio.Future[Any] | None = None

        async def tell() -> None:
            await asyncio.sleep(GATHER_SECONDS)
            events, waiting[:] = waiting[-MOST_EVENTS:], []
            self._post(Happened(tuple(events), time.monotonic()))

        async for item in items:
            if item.event is None:
                self._reader.forget()
                continue
            waiting.append(item.event)
            if told is None or told.done():
                self._reader.stirred()
                told = self._hold(tell())

    # ---- acting -------------------------------------------------------------------------------------------------

    async def _act(self, act: Act) -> None:
        from console.api.errors import ObservatoryApiError
        from contracts.errors import ObservatoryError

        async with self._acting:
            try:
                document = await self._changing.send(act.method, act.path, act.body, idempotency_key=act.key or None)
            except ObservatoryApiError as error:
                self._post(Acted(act, None, str(error), tuple((fault.pointer, fault.message) for fault in error.faults)))
            except ObservatoryError as error:
                self._post(Acted(act, None, str(error)))
            else:
                self._post(Acted(act, document))
        self._reader.stirred()
