"""The metrics engine: every event counts once, whatever is delivered how often and in which order."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import StoreUnavailable
from contracts.event import Event
from contracts.event_types import TICK_TYPE
from contracts.statistics import Delta, fold
from functions.metrics_engine.service import MetricsEngine
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.retention import Retention
from tests.support.stores import mixed_life, run_all, sqlite_store, submit


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(tmp_path) as store:
        yield store


@pytest.fixture
def stats(jobs: SqliteJobStore) -> SqliteStatsStore:
    return SqliteStatsStore(jobs.database)


@pytest.fixture
def engine(jobs: SqliteJobStore, stats: SqliteStatsStore) -> MetricsEngine:
    return MetricsEngine(jobs, stats)


async def assert_equal_to_the_log(jobs: SqliteJobStore, stats: SqliteStatsStore) -> None:
    events = await jobs.feed(0, 10_000)
    assert await stats.whole() == (await jobs.head(), fold(events))
    assert (await stats.read([])).states == await jobs.counts()


async def test_events_in_order_are_folded_without_reading_them_again(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mixed_life(jobs)
    events = await jobs.feed(0, 1_000)
    monkeypatch.setattr(jobs, "feed", None)  # whoever reads the feed now fails
    assert await engine.handle("metrics-engine", events) == [200] * len(events)
    monkeypatch.undo()
    await assert_equal_to_the_log(jobs, stats)


async def test_an_event_beyond_a_gap_brings_the_statistics_up_to_itself(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine
) -> None:
    await mixed_life(jobs)
    last = (await jobs.feed(0, 1_000))[-1]
    assert await engine.handle("metrics-engine", [last]) == [200]
    await assert_equal_to_the_log(jobs, stats)


async def test_a_repeated_event_counts_once(jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine) -> None:
    await mixed_life(jobs)
    events = await jobs.feed(0, 1_000)
    await engine.handle("metrics-engine", [*events, *events])
    assert await engine.handle("metrics-engine", events[:3]) == [200] * 3
    await assert_equal_to_the_log(jobs, stats)


@pytest.mark.parametrize("seed", range(5))
async def test_deliveries_at_once_and_shuffled_through_two_instances_count_once(
    jobs: SqliteJobStore, stats: SqliteStatsStore, seed: int
) -> None:
    await mixed_life(jobs)
    events = await jobs.feed(0, 1_000)
    chance = random.Random(seed)
    deliveries = events * 2
    chance.shuffle(deliveries)
    engines = [MetricsEngine(jobs, stats), MetricsEngine(jobs, stats)]
    answers = await asyncio.gather(*(chance.choice(engines).handle("metrics-engine", [event]) for event in deliveries))
    assert {status for answer in answers for status in answer} == {200}
    await assert_equal_to_the_log(jobs, stats)


async def test_a_burst_of_single_deliveries_costs_few_writes(jobs: SqliteJobStore, engine: MetricsEngine) -> None:
    await submit(jobs, 200)
    await run_all(jobs)
    events = await jobs.feed(0, 10_000)
    before = jobs.database.commits
    await asyncio.gather(*(engine.handle("metrics-engine", [event]) for event in events))
    assert jobs.database.commits - before <= 3


async def test_catching_up_reads_to_the_head(jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine) -> None:
    await mixed_life(jobs)
    await submit(jobs, 1_200)
    assert await engine.catch_up() == await jobs.head()
    await assert_equal_to_the_log(jobs, stats)
    assert await engine.catch_up() == await jobs.head()


async def test_a_tick_catches_up(jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine) -> None:
    await mixed_life(jobs)
    tick = Event({"specversion": "1.0", "id": "1", "source": "/ping", "type": TICK_TYPE, "data": {}})
    assert await engine.handle("tick", [tick]) == [200]
    await assert_equal_to_the_log(jobs, stats)


async def test_statistics_that_were_cleared_are_built_anew_by_the_next_event(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine
) -> None:
    await mixed_life(jobs)
    await engine.catch_up()
    await stats.clear()
    await submit(jobs)
    await engine.handle("metrics-engine", (await jobs.feed(0, 1_000))[-1:])
    await assert_equal_to_the_log(jobs, stats)


async def test_a_store_that_is_away_answers_503_and_nothing_is_counted_twice_afterwards(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mixed_life(jobs)
    events = await jobs.feed(0, 1_000)

    async def away(*args: Any) -> bool:
        raise StoreUnavailable

    monkeypatch.setattr(stats, "apply", away)
    assert await engine.handle("metrics-engine", events) == [503] * len(events)
    assert not engine._arrived
    monkeypatch.undo()
    assert await stats.whole() == (0, Delta())
    assert await engine.handle("metrics-engine", events) == [200] * len(events)
    await assert_equal_to_the_log(jobs, stats)


def changed(event: Event, **attributes: Any) -> Event:
    return Event({**event.document, **attributes})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"position": "1000000"}, "beyond the head"),
        ({"source": "urn:somebody:else"}, "no event of this system's feed"),
        ({"type": "dev.observatory.job.vanished.v1"}, "vanished"),
        ({"data": {"from": None}}, "/data/to"),
        ({"type": "com.example.thing"}, "no event of this system's feed"),
    ],
)
async def test_what_is_no_event_of_the_feed_is_kept_as_a_dead_letter(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine, change: dict[str, Any], reason: str
) -> None:
    await submit(jobs)
    events = await jobs.feed(0, 10)
    accepted = next(event for event in events if event.type.endswith("accepted.v1"))
    assert await engine.handle("metrics-engine", [changed(accepted, **change), *events]) == [200] * (len(events) + 1)
    (letter,) = (await jobs.dead_letters(10, None, None)).items
    assert reason in letter.reason
    assert letter.trigger == "metrics-engine"
    await assert_equal_to_the_log(jobs, stats)


async def test_the_event_log_gets_each_event_redacted_before_the_cursor_passes_it(jobs: SqliteJobStore, stats: SqliteStatsStore) -> None:
    class KeptLog:
        def __init__(self) -> None:
            self.kept: list[tuple[int, Event]] = []

        async def insert_batch(self, events: Any) -> int:
            cursor = await stats.cursor()
            self.kept += [(cursor, event) for event in events]
            return len(events)

        async def of_subject(self, subject: str) -> list[Event]:
            return []

        async def of_bucket(self, bucket: int) -> list[Event]:
            return []

    log = KeptLog()
    await submit(jobs, 3)
    await MetricsEngine(jobs, stats, log, lambda event: changed(event, redacted="yes")).catch_up()
    assert [event.position for _, event in log.kept] == list(range(1, await jobs.head() + 1))
    assert all(cursor < event.position and event.attribute("redacted") == "yes" for cursor, event in log.kept)


async def test_draining_waits_for_the_fold_in_hand(jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine) -> None:
    await submit(jobs, 3)
    handling = asyncio.create_task(engine.handle("metrics-engine", await jobs.feed(0, 100)))
    await asyncio.sleep(0)
    await engine.ready()
    await engine.drain()
    assert await handling
    await assert_equal_to_the_log(jobs, stats)


async def test_lost_statistics_begin_at_the_checkpoint_and_are_equal_to_those_before(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine
) -> None:
    await mixed_life(jobs)
    await engine.catch_up()
    await jobs.advance("relay", await jobs.head())
    before = await stats.whole()
    dropped = await jobs.prune(Retention({"succeeded": 0, "failed": 0, "cancelled": 0}))
    assert dropped.jobs > 5
    await stats.clear()
    await MetricsEngine(jobs, stats).catch_up()
    assert await stats.whole() == before
    assert before[1] != fold(await jobs.feed(0, 10_000))


async def test_statistics_older_than_what_was_dropped_are_built_anew(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine
) -> None:
    await mixed_life(jobs)
    await engine.catch_up()
    await jobs.advance("relay", await jobs.head())
    before = await stats.whole()
    await jobs.prune(Retention({"succeeded": 0, "failed": 0, "cancelled": 0}))
    old = await jobs.feed(0, 3)
    await stats.clear()
    await stats.apply(fold(old), 0, old[-1].position)  # a copy from before, brought back
    await MetricsEngine(jobs, stats).catch_up()
    assert await stats.whole() == before
