"""Retention: drops what is old in small steps, and rests between them so that nobody notices."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from contracts.errors import ObservatoryError, Passing
from contracts.log_fields import about
from contracts.statistics import MINUTE_MICROS
from functions.stores.event_log import EventLog
from functions.stores.job_store import JobStore
from functions.stores.retention import DAY_MICROS, Keeping
from functions.stores.stats_store import StatsStore

log = logging.getLogger("observatory.retention")
REST = 4.0  # how many times as long as a step took it rests: a fifth of the time at most
REST_WHEN_BEHIND = 0.25  # the load makes ended jobs faster than a rested sweep drops them
BEHIND_SECONDS = 20.0  # after so long without an end of the work it rests no longer than that


class Sweeper:
    """`sleep` rests; a test hands in its own."""

    def __init__(
        self, store: JobStore, stats: StatsStore, event_log: EventLog, keeping: Keeping,
        sleep: Callable[[float], "asyncio.Future[None]"] | None = None,
    ) -> None:  # fmt: skip
        self._store, self._stats, self._keeping, self._event_log = store, stats, keeping, event_log
        self._sleep = sleep or asyncio.sleep
        self._behind_since: float | None = None

    async def sweep(self, budget_seconds: float) -> int:
        """Drops what may go, for so long at most; returns how many jobs went. Raises StoreUnavailable."""
        keep, end, jobs = self._keeping.retention(), time.monotonic() + budget_seconds, 0
        await self._settled()
        while time.monotonic() < end:
            begun = time.monotonic()
            done = await self._store.prune(keep)
            jobs += done.jobs
            if not done.more:
                self._behind_since = None
                break
            await self._sleep((time.monotonic() - begun) * self._rest(done.over))
        if jobs:
            log.info("%d ended jobs were dropped", jobs, extra=about("jobs.dropped"))
        return jobs

    def _rest(self, over: bool) -> float:
        """How many times as long as a step took to rest: the less the longer there was always more to drop."""
        now = time.monotonic()
        if self._behind_since is None:
            self._behind_since = now
        return REST_WHEN_BEHIND if over else max(REST * (1 - (now - self._behind_since) / BEHIND_SECONDS), REST_WHEN_BEHIND)

    async def _settled(self) -> None:
        now = self._store.now()
        before_minute = (now - round(self._keeping.statistics_days * DAY_MICROS)) // MINUTE_MICROS if self._keeping.statistics_days else 0
        if self._keeping.others_days:
            await self._store.prune_settled(now - round(self._keeping.others_days * DAY_MICROS), max(before_minute, 0))
        if before_minute > 0:
            await self._elsewhere(self._stats.prune(before_minute))
        if self._keeping.history_days:
            dropped = await self._elsewhere(self._event_log.prune(now - round(self._keeping.history_days * DAY_MICROS)))
            if dropped:
                log.info("%d events left the event log", dropped, extra=about("history.dropped"))

    @staticmethod
    async def _elsewhere(pruning: Awaitable[int]) -> int:
        """What is in another store waits until that answers; jobs do not wait for it."""
        try:
            return await pruning
        except Passing as error:
            log.debug("nothing was dropped there: %s", error, extra=about("retention.waits"))
            return 0

    async def sweep_on(self, every_seconds: float) -> None:
        """For a process that lives: sweeps again and again, at once when there is more to drop."""
        while True:
            try:
                await self.sweep(every_seconds)
            except ObservatoryError as error:
                log.warning("nothing was dropped: %s", error, extra=about("retention.failed"))
                self._behind_since = None
            await asyncio.sleep(0.0 if self._behind_since is not None else every_seconds)
