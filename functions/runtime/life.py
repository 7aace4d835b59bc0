"""The life of one instance of a function that runs alone: it tells of its start, first request and stop, and what it commits
goes out before it answers."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from contracts.errors import ObservatoryError
from functions.stores.clock import Clock
from functions.stores.instances import Instance

if TYPE_CHECKING:
    from functions.runtime.shared_relay import SharedRelay
    from functions.stores.stats_store import StatsStore

LAST_SECONDS = 2.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


class Life:
    """The record of an instance is news: nothing waits for it. `relay` is None where commits need no publishing from here."""

    def __init__(
        self, stats: "Callable[[], Awaitable[StatsStore]]", function: str, instance: str, clock: Clock, start_seconds: float,
        relay: "SharedRelay | None" = None,
    ) -> None:  # fmt: skip
        self._stats, self._clock, self._relay = stats, clock, relay
        self._record = Instance(function, instance, clock(), start_seconds=round(start_seconds, 3))
        self._writing: set[asyncio.Task[None]] = set()

    def started(self) -> None:
        self._write(self._record)

    def worked(self) -> None:
        """Notes the first request that was no probe."""
        if self._record.first_request_at is None:
            self._write(replace(self._record, first_request_at=self._clock()))

    async def settle(self) -> None:
        """Lets what a request committed go out before its answer, for a moment at most."""
        if self._relay is not None:
            await self._relay.settle()

    def stopped(self) -> None:
        self._write(replace(self._record, stopped_at=self._clock()))

    async def end(self) -> None:
        """The last things, once the service is drained."""
        if self._relay is not None:
            await self._relay.stop(LAST_SECONDS)
        if self._writing:
            _, left = await asyncio.wait(self._writing, timeout=LAST_SECONDS)
            for task in left:
                task.cancel()

    def _write(self, record: Instance) -> None:
        self._record = record
        task = asyncio.get_running_loop().create_task(self._note(record))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _note(self, record: Instance) -> None:
        """Until it is told, or a newer record tells it, too: statistics may be away for a while when everything starts at once."""
        pause = FIRST_PAUSE
        while True:
            with contextlib.suppress(ObservatoryError):
                return await (await self._stats()).note_instance(record)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if self._record is not record:
                return None
