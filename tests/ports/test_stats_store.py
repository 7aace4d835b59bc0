"""What every `StatsStore` does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.statistics import ALL_TIME, MINUTE_MICROS, Delta, fold
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.instances import Instance
from functions.stores.stats_store import StatsStore
from tests.support.stores import mixed_life, sqlite_store

ONE = Delta(
    {("q", "a.b", "queued"): 1}, {(ALL_TIME, "q", "a.b", "accepted"): 1, (7, "q", "a.b", "accepted"): 1}, {(7, "q", "a.b", "ran", 3): 2}
)


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(tmp_path) as store:
        yield store


@pytest.fixture
def stats(jobs: SqliteJobStore) -> StatsStore:
    return SqliteStatsStore(jobs.database)


async def test_a_new_store_stands_at_the_beginning(stats: StatsStore) -> None:
    assert await stats.cursor() == 0
    assert await stats.whole() == (0, Delta())


async def test_a_delta_and_the_cursor_move_together(stats: StatsStore) -> None:
    assert await stats.apply(ONE, 0, 5)
    assert await stats.whole() == (5, ONE)


async def test_a_delta_from_another_place_than_the_cursor_changes_nothing(stats: StatsStore) -> None:
    await stats.apply(ONE, 0, 5)
    assert not await stats.apply(ONE, 0, 5)
    assert not await stats.apply(ONE, 4, 6)
    assert await stats.whole() == (5, ONE)


async def test_of_many_folds_from_one_place_one_wins(stats: StatsStore) -> None:
    won = await asyncio.gather(*(stats.apply(ONE, 0, 5) for _ in range(20)))
    assert sum(won) == 1
    assert await stats.whole() == (5, ONE)


async def test_a_fold_in_batches_stores_what_one_fold_gives(jobs: SqliteJobStore, stats: StatsStore) -> None:
    await mixed_life(jobs)
    events = await jobs.feed(0, 1_000)
    after = 0
    for start in range(0, len(events), 7):
        batch = events[start : start + 7]
        assert await stats.apply(fold(batch), after, batch[-1].position)
        after = batch[-1].position
    assert await stats.whole() == (await jobs.head(), fold(events))
    assert (await stats.read([])).states == await jobs.counts()


async def test_a_reading_sums_each_range_of_minutes(stats: StatsStore) -> None:
    for position, minute in enumerate((7, 8, 9, 9)):
        delta = Delta({}, {(minute, "q", "a.b", "accepted"): 1}, {(minute, "q", "a.b", "ran", 3): 2})
        await stats.apply(delta, position, position + 1)
    reading = await stats.read([(7, 8), (9, 9), (10, 20)])
    assert reading.position == 4
    assert [part.sums for part in reading.ranges] == [{("q", "a.b", "accepted"): 2}] * 2 + [{}]
    assert [part.buckets for part in reading.ranges] == [{("q", "a.b", "ran", 3): 4}] * 2 + [{}]


async def test_a_series_has_a_sum_for_each_minute(stats: StatsStore) -> None:
    delta = Delta({}, {(7, "q", "a.b", "accepted"): 1, (7, "q", "c.d", "accepted"): 2, (9, "q", "a.b", "failed"): 1}, {})
    await stats.apply(delta, 0, 1)
    assert await stats.series(7, 9) == {7: {"accepted": 3}, 9: {"failed": 1}}


async def test_pruning_drops_old_minutes_and_keeps_the_sums_since_the_beginning(stats: StatsStore) -> None:
    await stats.apply(ONE, 0, 1)
    assert await stats.prune(7) == 0
    assert await stats.prune(8) == 2
    assert await stats.whole() == (1, Delta(ONE.states, {(ALL_TIME, "q", "a.b", "accepted"): 1}, {}))


async def test_records_of_instances_are_kept_newest_first_each_once_and_dropped_with_old_minutes(stats: StatsStore) -> None:
    old = Instance("gateway", "a", 5 * MINUTE_MICROS)
    young = Instance("gateway", "b", 9 * MINUTE_MICROS, 9 * MINUTE_MICROS + 1, None, 0.25)
    for record in (old, young, replace(young, stopped_at=10 * MINUTE_MICROS)):
        await stats.note_instance(record)
    assert await stats.instances() == [replace(young, stopped_at=10 * MINUTE_MICROS), old]
    await stats.clear()  # they are no fold of the log, from which they could not be built anew
    assert len(await stats.instances()) == 2
    await stats.prune(9)
    assert [record.instance for record in await stats.instances()] == ["b"]


async def test_a_cleared_store_can_be_built_anew(stats: StatsStore) -> None:
    await stats.apply(ONE, 0, 5)
    await stats.clear()
    assert await stats.whole() == (0, Delta())
    assert await stats.apply(ONE, 0, 5)
