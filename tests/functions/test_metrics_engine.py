"""The metrics engine: every event counts once, whatever is delivered how often and in which order."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any

import pytest

from contracts.errors import StoreUnavailable
from contracts.event import Event
from contracts.event_types import TICK_TYPE
from contracts.statistics import Delta
from functions.metrics_engine import follower, service
from functions.metrics_engine.service import MetricsEngine
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.event_log import EVENT_LOG_CURSOR
from tests.support.memory_event_log import MemoryEventLog
from tests.support.readers import assert_equal_to_the_log, until
from tests.support.stores import mixed_life, run_all, submit


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


async def away(*args: Any, **named: Any) -> Any:
    raise StoreUnavailable("it does not answer")


async def test_statistics_that_are_away_hold_up_nobody_and_count_everything_once_when_they_are_back(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "observatory")
    await mixed_life(jobs)
    events = await jobs.feed(0, 1_000)
    monkeypatch.setattr(stats, "apply", away)
    assert await engine.handle("metrics-engine", events) == [200] * len(events)  # the feed has them
    assert await engine.handle("metrics-engine", events[:1]) == [200]
    assert [record.reader for record in caplog.records if record.action == "reader.away"] == ["statistics"]
    assert await stats.whole() == (0, Delta())
    assert (await jobs.dead_letters(10, None, None)).items == []
    monkeypatch.undo()
    await until(lambda: "reader.back" in [record.action for record in caplog.records])  # nobody rings
    await engine.catch_up()
    await assert_equal_to_the_log(jobs, stats)


async def test_a_feed_that_is_away_answers_503(jobs: SqliteJobStore, engine: MetricsEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    await mixed_life(jobs)
    last = (await jobs.feed(0, 1_000))[-1]
    for name in ("feed", "head", "ping"):
        monkeypatch.setattr(jobs, name, away)
    assert await engine.handle("metrics-engine", [last]) == [503]
    with pytest.raises(StoreUnavailable):
        await engine.ready()
    monkeypatch.undo()
    assert await engine.handle("metrics-engine", [last]) == [200]


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


async def test_the_event_log_gets_each_event_redacted_and_its_cursor_follows(jobs: SqliteJobStore, stats: SqliteStatsStore) -> None:
    log = MemoryEventLog()
    await submit(jobs, 3)

    async def redacted(events: Sequence[Event]) -> Sequence[Event]:
        return [changed(event, redacted="yes") for event in events]

    engine = MetricsEngine(jobs, stats, log, redacted)
    await engine.catch_up()
    assert list(log.kept) == list(range(1, await jobs.head() + 1))
    assert all(event.attribute("redacted") == "yes" for event in log.kept.values())
    assert log.kept_extent.last == (await jobs.cursors())[EVENT_LOG_CURSOR] == await jobs.head()


async def test_readers_do_not_wait_for_each_other(
    jobs: SqliteJobStore, stats: SqliteStatsStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the event log away the statistics are folded; with the statistics away the event log is written."""
    log = MemoryEventLog()
    engine = MetricsEngine(jobs, stats, log)
    await submit(jobs, 2)
    await engine.catch_up()
    first = await jobs.head()
    log.away = True
    await mixed_life(jobs)
    events = await jobs.feed(first, 1_000)
    assert await engine.handle("metrics-engine", events) == [200] * len(events)
    await assert_equal_to_the_log(jobs, stats)
    await until(lambda: engine._followers[1]._fault is not None)
    assert (len(log.kept), (await jobs.cursors())[EVENT_LOG_CURSOR]) == (first, first)
    assert "the event log (in memory) does not answer" in caplog.text
    log.away = False
    monkeypatch.setattr(stats, "apply", away)
    await submit(jobs, 1)
    (last,) = (await jobs.feed(0, 1_000))[-1:]
    assert await engine.handle("metrics-engine", [last]) == [200]
    await until(lambda: len(log.kept) == last.position)
    monkeypatch.undo()
    await until(lambda: engine._followers[0]._fault is None)  # whoever asks while its last try is under way hears of that one's fault
    await engine.catch_up()
    assert list(log.kept) == list(range(1, await jobs.head() + 1))
    await assert_equal_to_the_log(jobs, stats)


async def test_nobody_waits_for_the_event_log_and_its_batches_are_gathered(
    jobs: SqliteJobStore, stats: SqliteStatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, go_on = MemoryEventLog(), asyncio.Event()
    insert, batches = log.insert_batch, []

    async def slow(events: Sequence[Event], after: int, upto: int) -> bool:
        await go_on.wait()
        batches.append(len(events))
        return await insert(events, after, upto)

    monkeypatch.setattr(log, "insert_batch", slow)
    engine = MetricsEngine(jobs, stats, log)
    await submit(jobs, 20)
    events = await jobs.feed(0, 100)
    for event in events:
        assert await engine.handle("metrics-engine", [event]) == [200]
    await assert_equal_to_the_log(jobs, stats)
    go_on.set()
    await until(lambda: len(log.kept) == len(events))
    assert len(batches) <= 3


async def test_a_doorbell_is_not_held_while_the_statistics_hang(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()
    apply = stats.apply

    async def slow(*fold: Any) -> bool:
        await go_on.wait()
        return await apply(*fold)

    monkeypatch.setattr(stats, "apply", slow)
    monkeypatch.setattr(service, "WAIT_SECONDS", 0.02)
    await submit(jobs)
    events = await jobs.feed(0, 100)
    assert await engine.handle("metrics-engine", events) == [200] * len(events)
    go_on.set()
    await engine.catch_up()
    await assert_equal_to_the_log(jobs, stats)


@pytest.mark.parametrize("wish", ["ring", "wake"])
async def test_a_wish_that_comes_while_the_head_of_the_feed_is_looked_at_is_not_lost(
    jobs: SqliteJobStore, stats: SqliteStatsStore, monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    log, looked = MemoryEventLog(), False
    engine = MetricsEngine(jobs, stats, log)
    await engine.catch_up()
    feed, history = jobs.feed, engine._followers[1]

    async def feed_and_wish(after: int, limit: int) -> list[Event]:
        nonlocal looked
        found = await feed(after, limit)
        if not found and not looked:
            looked = True
            await submit(jobs)
            history.ring(await jobs.head()) if wish == "ring" else history.wake()
        return found

    monkeypatch.setattr(jobs, "feed", feed_and_wish)
    history.ring(await jobs.head() + 1)
    await until(lambda: looked and history._task is not None and history._task.done())
    assert list(log.kept) == list(range(1, await jobs.head() + 1))


async def test_nothing_but_the_feed_gets_into_the_event_log(jobs: SqliteJobStore, stats: SqliteStatsStore) -> None:
    """Whatever reaches this function's address."""
    log = MemoryEventLog()
    engine = MetricsEngine(jobs, stats, log)
    await submit(jobs)
    events = await jobs.feed(0, 100)
    assert await engine.handle("metrics-engine", [changed(event, actor="a stranger") for event in events]) == [200] * len(events)
    await engine.catch_up()
    assert list(log.kept.values()) == events


async def test_a_known_event_that_rings_again_finds_it_too(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a scheduler rings that sees the statistics behind; but not each repeat asks the store."""
    await mixed_life(jobs)
    await engine.catch_up()
    await stats.clear()
    last = (await jobs.feed(0, 1_000))[-1:]
    assert await engine.handle("metrics-engine", last) == [200]
    assert await stats.cursor() == 0
    monkeypatch.setattr(follower, "LOOK_SECONDS", 0.0)
    assert await engine.handle("metrics-engine", last) == [200]
    await assert_equal_to_the_log(jobs, stats)


async def test_waking_finds_that_the_statistics_were_emptied(jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine) -> None:
    await mixed_life(jobs)
    await engine.catch_up()
    await stats.clear()
    engine.wake()
    await engine.drain()
    await assert_equal_to_the_log(jobs, stats)


async def test_draining_waits_for_the_fold_in_hand(jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine) -> None:
    await submit(jobs, 3)
    handling = asyncio.create_task(engine.handle("metrics-engine", await jobs.feed(0, 100)))
    await asyncio.sleep(0)
    await engine.ready()
    await engine.drain()
    assert await handling
    await assert_equal_to_the_log(jobs, stats)
