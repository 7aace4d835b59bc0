"""Tells the statistics store of this instance: started, first request, stopped. News only: nothing waits for it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

from contracts.errors import ObservatoryError
from functions.stores.clock import Clock
from functions.stores.instances import Instance
from functions.stores.stats_store import StatsStore


class Presence:
    """The record of one instance of a function; each change of it is written in the background."""

    def __init__(self, stats: Callable[[], Awaitable[StatsStore]], function: str, instance: str, clock: Clock, start_seconds: float) -> None:
        self._stats, self._clock = stats, clock
        self._record = Instance(function, instance, clock(), start_seconds=round(start_seconds, 3))
        self._writing: set[asyncio.Task[None]] = set()

    def started(self) -> None:
        self._write(self._record)

    def worked(self) -> None:
        """Notes the first request that was no probe."""
        if self._record.first_request_at is None:
            self._write(replace(self._record, first_request_at=self._clock()))

    def stopped(self) -> None:
        self._write(replace(self._record, stopped_at=self._clock()))

    def _write(self, record: Instance) -> None:
        self._record = record
        task = asyncio.get_running_loop().create_task(self._note(record))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _note(self, record: Instance) -> None:
        with contextlib.suppress(ObservatoryError):  # what is not told now is told with the next change
            await (await self._stats()).note_instance(record)
