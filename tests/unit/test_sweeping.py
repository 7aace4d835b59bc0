"""How a sweep rests: long while it keeps up, hardly at all when ended jobs come faster than it drops them."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from functions.scheduler import sweeping
from functions.scheduler.sweeping import BEHIND_SECONDS, REST, REST_WHEN_BEHIND, Sweeper
from functions.stores.backends.feed_event_log import FeedEventLog
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.retention import Keeping
from tests.ports.job_store.retention import read_on
from tests.support.stores import run_all, sqlite_store, submit

KEEPING = Keeping(succeeded_days=0.000_000_001)


class Watch:
    """A clock in place of the module's `time`: a rest takes as long as it asks for, and each look a second."""

    def __init__(self) -> None:
        self.now, self.rests = 0.0, [0.0]

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


async def test_the_longer_a_sweep_is_behind_the_less_it_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch()
    monkeypatch.setattr(sweeping, "time", watch)
    async with sqlite_store(tmp_path) as store:
        await submit(store, 2_500)
        await run_all(store, 2_500)
        await read_on(store)
        sweeper = Sweeper(store, SqliteStatsStore(store.database), FeedEventLog(store), KEEPING, sleep=watch.sleep)  # type: ignore[arg-type]
        assert await sweeper.sweep(1_000.0) == 2_499  # the newest stays
    rests = watch.rests[1:]
    assert len(rests) > 5
    assert rests[0] > REST / 2
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(rests))
    assert rests[-1] <= 2 * REST_WHEN_BEHIND
    assert watch.now > BEHIND_SECONDS


async def test_a_sweep_that_kept_up_begins_with_long_rests_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch()
    monkeypatch.setattr(sweeping, "time", watch)
    async with sqlite_store(tmp_path) as store:
        sweeper = Sweeper(store, SqliteStatsStore(store.database), FeedEventLog(store), KEEPING, sleep=watch.sleep)  # type: ignore[arg-type]
        firsts = []
        for _ in range(2):
            await submit(store, 700)
            await run_all(store, 700)
            await read_on(store)
            watch.rests = []
            await sweeper.sweep(1_000.0)
            firsts.append(watch.rests[0])
            watch.now += 10 * BEHIND_SECONDS
    assert firsts[0] == firsts[1] > REST / 2
