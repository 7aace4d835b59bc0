"""What tests of the feed's readers share."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from contracts.event import Event
from contracts.statistics import fold
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.job_store import PUBLISH_CURSOR
from functions.stores.retention import Retention

EVERYTHING = Retention({"succeeded": 0, "failed": 0, "cancelled": 0})


class Elsewhere:
    """Statistics of another store than the feed's, as Redis is."""

    elsewhere = True

    def __init__(self, stats: SqliteStatsStore) -> None:
        self._stats = stats

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stats, name)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def assert_equal_to_the_log(jobs: SqliteJobStore, stats: SqliteStatsStore) -> None:
    events = await jobs.feed(0, 10_000)
    assert await stats.whole() == (await jobs.head(), fold(events))
    assert (await stats.read([])).states == await jobs.counts()


def sweep_before_the_first_page(patch: pytest.MonkeyPatch, jobs: SqliteJobStore, reader: str) -> list[int]:
    """As where another instance's late copy of a reader's cursor told retention to go on: all that has ended is dropped just before
    the feed is first read. How many jobs, once it is done."""
    feed, dropped = jobs.feed, list[int]()

    async def sweep_and_feed(after: int, limit: int) -> list[Event]:
        if not dropped:
            for cursor in (PUBLISH_CURSOR, reader):
                await jobs.advance(cursor, await jobs.head())
            dropped.append((await jobs.prune(EVERYTHING)).jobs)
        return await feed(after, limit)

    patch.setattr(jobs, "feed", sweep_and_feed)
    return dropped
