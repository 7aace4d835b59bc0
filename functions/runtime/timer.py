"""The embedded scheduler's alarm clock: set for the next due time, so that nothing polls."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from contracts.errors import ObservatoryError
from contracts.event import Event
from contracts.event_types import (
    JOB_ACCEPTED,
    JOB_RETRYING,
    JOB_SCHEDULED,
    SCHEDULE_CREATED,
    SCHEDULE_FIRED,
    SCHEDULE_RESUMED,
    SCHEDULE_SKIPPED,
    SCHEDULE_UPDATED,
)
from contracts.log_fields import about
from contracts.times import MICROSECONDS, from_rfc3339
from functions.stores.job_store import Tick

REST_SECONDS = 0.05  # between two ticks, unless more is due already: what falls due one by one comes in one transaction
HELD_UP_SECONDS = 1.0  # before what is due and held by somebody is asked for again, at most; it begins with REST_SECONDS and doubles

log = logging.getLogger("observatory.timer")
_SCHEDULES = frozenset({SCHEDULE_CREATED, SCHEDULE_UPDATED, SCHEDULE_RESUMED, SCHEDULE_FIRED, SCHEDULE_SKIPPED})


class Timer:
    """Ticks when something is due, and every `longest_seconds` in any case."""

    def __init__(self, tick: Callable[[], Awaitable[Tick]], now: Callable[[], int], longest_seconds: float) -> None:
        self._tick, self._now, self._longest = tick, now, longest_seconds
        self._due_at: int | None = None
        self._earlier = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, first: int | None) -> None:
        self._due_at = first
        self._task = asyncio.create_task(self._run(), name="timer")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def committed(self, events: Sequence[Event]) -> None:
        """Sets the alarm for what these events plan."""
        for event in events:
            if event.type in (JOB_SCHEDULED, JOB_RETRYING):
                self.arm(from_rfc3339(event.data["run_at"]))
            elif event.type in _SCHEDULES and event.data["next_at"] is not None:
                self.arm(from_rfc3339(event.data["next_at"]))
            elif event.type == JOB_ACCEPTED and event.data["expires_at"] is not None:
                self.arm(from_rfc3339(event.data["expires_at"]))

    def arm(self, at: int) -> None:
        if self._due_at is None or at < self._due_at:
            self._due_at = at
            self._earlier.set()

    async def _run(self) -> None:
        rested = pause = 0.0
        while True:
            await self._sleep(rested)
            self._due_at = None
            try:
                tick = await self._tick()
            except Exception as error:  # nobody else keeps time here
                log.warning("a tick failed: %s", error, exc_info=not isinstance(error, ObservatoryError), extra=about("tick.failed"))
                await asyncio.sleep(1.0)
                self._due_at = self._now()
            else:
                rested = asyncio.get_running_loop().time() + REST_SECONDS
                if tick.next_due_at is not None:
                    if tick.next_due_at <= self._now():
                        rested = 0.0
                    self.arm(tick.next_due_at)
                pause = min(max(pause * 2, REST_SECONDS), HELD_UP_SECONDS) if tick.held_up else 0.0
                if tick.held_up:
                    self.arm(self._now() + round(pause * MICROSECONDS))

    async def _sleep(self, rested: float) -> None:
        """Until something is due, but not before the loop's time `rested`."""
        loop = asyncio.get_running_loop()
        last = loop.time() + self._longest
        while True:
            self._earlier.clear()
            left = last - loop.time()
            if self._due_at is not None:
                left = min(left, max((self._due_at - self._now()) / MICROSECONDS, rested - loop.time()))
            if left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left + 0.0005):  # wait_for of Python 3.11 may swallow the cancel that ends this
                    await self._earlier.wait()
