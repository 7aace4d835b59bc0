"""The metrics engine: every event counts once, whatever is delivered how often and in which order."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import StoreUnavailable
from contracts.event import Event
from contracts.event_types import TICK_TYPE
from contracts.statistics import Delta, fold
from contracts.validation import validate_event
from functions.metrics_engine import follower, service
from functions.metrics_engine.service import MetricsEngine
from functions.read_model.history import History as ReadHistory
from functions.stores.audit import Audit
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.backends.postgres_stats_store import PostgresStatsStore
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.event_log import EVENT_LOG_CURSOR
from functions.stores.job_store import PUBLISH_CURSOR, STATISTICS_CURSOR
from functions.stores.retention import Retention
from tests.support.memory_event_log import MemoryEventLog
from tests.support.stores import mixed_life, run_all, sqlite_store, submit


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(tmp_path) as store:
        yield store


@pytest.fixture
def stats(jobs: SqliteJobStore) -> SqliteStatsStore:
    return SqliteStatsStore(jobs.database)


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


async def test_retention_does_not_pass_an_event_log_that_is_behind(jobs: SqliteJobStore, stats: SqliteStatsStore) -> None:
    log = MemoryEventLog()
    await mixed_life(jobs)
    engine = MetricsEngine(jobs, stats, log)
    await engine.attach()
    log.away = True
    engine.wake()
    await until(lambda: engine._followers[1]._fault is not None)
    await jobs.advance("relay", await jobs.head())
    await engine._followers[0].catch_up()
    everything = Retention({"succeeded": 0, "failed": 0, "cancelled": 0})
    assert (await jobs.prune(everything)).jobs == 0
    log.away = False
    await engine.catch_up()
    assert (await jobs.prune(everything)).jobs > 5
    assert list(log.kept) == list(range(1, await jobs.head() + 1))


async def test_without_an_event_log_its_cursor_holds_up_nothing(jobs: SqliteJobStore, stats: SqliteStatsStore) -> None:
    await MetricsEngine(jobs, stats, MemoryEventLog()).attach()
    assert (await jobs.cursors())[EVENT_LOG_CURSOR] == 0
    await MetricsEngine(jobs, stats).attach()
    assert EVENT_LOG_CURSOR not in await jobs.cursors()


async def test_an_event_log_that_is_attached_late_gets_what_the_job_store_still_keeps(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await mixed_life(jobs)
    await engine.catch_up()
    await jobs.advance("relay", await jobs.head())
    await jobs.prune(Retention({"succeeded": 0, "failed": 0, "cancelled": 0}))
    log = MemoryEventLog()
    await MetricsEngine(jobs, stats, log).catch_up()
    assert list(log.kept) == [event.position for event in await jobs.feed(0, 1_000)]
    assert "it gets what the job store still keeps" in caplog.text
    assert log.kept_extent.complete_from == await jobs.dropped() + 1


@pytest.mark.parametrize("attached", [True, False], ids=["found at the start", "found while it runs"])
async def test_retention_waits_for_an_event_log_that_was_lost_until_it_is_filled_again(
    jobs: SqliteJobStore, stats: SqliteStatsStore, monkeypatch: pytest.MonkeyPatch, attached: bool
) -> None:
    log = MemoryEventLog()
    await mixed_life(jobs)
    engine = MetricsEngine(jobs, stats, log)
    await engine.attach()
    await engine.catch_up()
    await engine.drain()
    for cursor in (PUBLISH_CURSOR, EVENT_LOG_CURSOR):
        await jobs.advance(cursor, await jobs.head())
    everything = Retention({"succeeded": 0, "failed": 0, "cancelled": 0})
    empty = MemoryEventLog()
    insert, dropped = empty.insert_batch, []

    async def sweep_and_insert(*batch: Any) -> bool:
        dropped.append((await jobs.prune(everything)).jobs)
        return await insert(*batch)

    monkeypatch.setattr(empty, "insert_batch", sweep_and_insert)
    engine = MetricsEngine(jobs, stats, empty)
    if attached:
        await engine.attach()
        assert (await jobs.prune(everything)).jobs == 0
    await engine.catch_up()
    await engine.drain()
    assert dropped == [0]
    assert list(empty.kept) == list(range(1, await jobs.head() + 1))
    assert empty.kept_extent.complete_from == 1
    assert any([(await jobs.prune(everything)).jobs for _ in range(3)])


async def test_what_retention_drops_before_the_event_log_has_it_is_told_as_a_gap(
    jobs: SqliteJobStore, stats: SqliteStatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where another instance's late copy of the cursor told retention to go on."""
    log = MemoryEventLog()
    await mixed_life(jobs)
    engine = MetricsEngine(jobs, stats, log)
    await engine.attach()
    await engine._followers[0].catch_up()
    first = (await jobs.feed(0, 1))[0]
    await log.insert_batch([first], 0, first.position)
    feed, dropped = jobs.feed, []

    async def sweep_and_feed(after: int, limit: int) -> list[Event]:
        if not dropped:
            for cursor in (PUBLISH_CURSOR, EVENT_LOG_CURSOR):
                await jobs.advance(cursor, await jobs.head())
            dropped.append((await jobs.prune(Retention({"succeeded": 0, "failed": 0, "cancelled": 0}))).jobs)
        return await feed(after, limit)

    monkeypatch.setattr(jobs, "feed", sweep_and_feed)
    await engine.catch_up()
    assert dropped[0] > 5
    assert list(log.kept) == [first.position, *(event.position for event in await feed(first.position, 1_000))]
    assert log.kept_extent.first == 1
    assert log.kept_extent.complete_from == await jobs.dropped() + 1 > 5
    page = await ReadHistory(jobs, log).events([], None, 10, None)
    assert page.complete_from == await jobs.dropped() + 1


async def test_readers_that_are_ahead_of_a_feed_that_came_back_from_a_copy_go_back(
    jobs: SqliteJobStore, stats: SqliteStatsStore, tmp_path: Path
) -> None:
    log = MemoryEventLog()
    await mixed_life(jobs)
    await MetricsEngine(jobs, stats, log).catch_up()
    ahead = Elsewhere(stats)
    async with sqlite_store(tmp_path / "copy") as copy:  # of an earlier day
        await submit(copy, 1)
        await MetricsEngine(copy, ahead, log).catch_up()
        events = await copy.feed(0, 1_000)
        assert await stats.whole() == (await copy.head(), fold(events))
        assert log.kept_extent.last == await copy.head()
        assert list(log.kept) == [event.position for event in events]


async def test_statistics_kept_elsewhere_leave_a_copy_of_their_cursor(jobs: SqliteJobStore, tmp_path: Path) -> None:
    await mixed_life(jobs)
    async with sqlite_store(tmp_path / "elsewhere") as other:
        await MetricsEngine(jobs, Elsewhere(SqliteStatsStore(other.database))).catch_up()
    assert (await jobs.cursors())[STATISTICS_CURSOR] == await jobs.head()


async def test_statistics_that_come_back_from_elsewhere_count_what_happened_meanwhile(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine, tmp_path: Path
) -> None:
    await mixed_life(jobs)
    await engine.catch_up()
    await submit(jobs, 2)
    async with sqlite_store(tmp_path / "elsewhere") as other:
        await MetricsEngine(jobs, Elsewhere(SqliteStatsStore(other.database))).catch_up()
    assert (await jobs.cursors())[STATISTICS_CURSOR] == await jobs.head()
    await MetricsEngine(jobs, stats).catch_up()
    await assert_equal_to_the_log(jobs, stats)


@pytest.mark.servers
async def test_statistics_beside_the_jobs_on_postgresql_change_places_with_another_store(postgres_url: str, tmp_path: Path) -> None:
    """There and back again, also when retention has dropped meanwhile what they had not counted."""
    jobs: Any = PostgresJobStore.at(postgres_url, check=validate_event)
    await jobs.open()
    try:
        await jobs.declare_queues([("default", None, None, False)])
        stats = PostgresStatsStore(jobs)
        async with sqlite_store(tmp_path / "elsewhere") as other:
            elsewhere = Elsewhere(SqliteStatsStore(other.database))
            for here in (stats, elsewhere, stats, elsewhere):
                await mixed_life(jobs)
                await MetricsEngine(jobs, here).catch_up()
                assert (await jobs.cursors())[STATISTICS_CURSOR] == await here.cursor() == await jobs.head()
                assert [str(found) async for found in Audit(jobs, here).differences()] == []
            await jobs.advance(PUBLISH_CURSOR, await jobs.head())
            assert (await jobs.prune(Retention({}, most_ended=1))).jobs > 10
            assert await stats.cursor() < await jobs.dropped()
        await MetricsEngine(jobs, stats).catch_up()
        assert [str(found) async for found in Audit(jobs, stats).differences()] == []
    finally:
        await jobs.close()


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


@pytest.mark.parametrize("lost", ["all", "the newest"])
@pytest.mark.parametrize("is_held", [True, False], ids=["retention waits", "retention did not hear"])
async def test_statistics_that_begin_anew_while_retention_works_miss_nothing(
    jobs: SqliteJobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_held: bool, lost: str
) -> None:
    """Also where another instance's late copy of the cursor told retention to go on."""
    await mixed_life(jobs)
    old = await jobs.feed(0, 1_000)
    await submit(jobs, 3)
    await run_all(jobs)
    rest = Retention({"failed": 0, "cancelled": 0}, batch=1)
    async with sqlite_store(tmp_path / "elsewhere") as other:
        elsewhere: Any = Elsewhere(SqliteStatsStore(other.database))
        engine = MetricsEngine(jobs, elsewhere)
        await engine.catch_up()
        await submit(jobs)
        await engine.catch_up()
        await jobs.advance("relay", await jobs.head())
        before = await elsewhere.whole()
        assert (await jobs.prune(Retention({"succeeded": 0}))).jobs > 5
        checkpoint, dropped = jobs.checkpoint, []

        async def checkpoint_and_sweep() -> Any:
            """What goes lies below the checkpoint, whose position stays."""
            found = await checkpoint()
            if not any(dropped):
                if not is_held:
                    await jobs.advance(STATISTICS_CURSOR, await jobs.head())
                dropped.append((await jobs.prune(rest)).jobs)
            return found

        await elsewhere.clear()  # flushed: nobody told the job store
        if lost == "the newest":
            await elsewhere.apply(fold(old), 0, old[-1].position)
        monkeypatch.setattr(jobs, "checkpoint", checkpoint_and_sweep)
        await engine.catch_up()
        monkeypatch.undo()
        assert await elsewhere.whole() == before
        assert dropped == ([0, 0] if is_held else [1])
        await engine.drain()
        assert (await jobs.cursors())[STATISTICS_CURSOR] == await jobs.head()
        assert any([(await jobs.prune(rest)).jobs for _ in range(3)])  # it waits no longer


async def test_retention_waits_for_statistics_that_came_back_from_a_copy(
    jobs: SqliteJobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those are behind what the job store knows of them, and not behind what was dropped."""
    await mixed_life(jobs)
    everything = Retention({"succeeded": 0, "failed": 0, "cancelled": 0})
    async with sqlite_store(tmp_path / "elsewhere") as other:
        stats = SqliteStatsStore(other.database)
        old = await jobs.feed(0, 3)
        await stats.apply(fold(old), 0, old[-1].position)
        for cursor in ("relay", STATISTICS_CURSOR):
            await jobs.advance(cursor, await jobs.head())
        apply, dropped = stats.apply, []

        async def sweep_and_apply(*fold: Any) -> bool:
            dropped.append((await jobs.prune(everything)).jobs)
            return await apply(*fold)

        monkeypatch.setattr(stats, "apply", sweep_and_apply)
        await MetricsEngine(jobs, Elsewhere(stats)).catch_up()
        assert dropped == [0]
        assert await stats.whole() == (await jobs.head(), fold(await jobs.feed(0, 1_000)))
        assert (await jobs.prune(everything)).jobs > 5


async def test_statistics_that_retention_has_passed_find_it_at_the_next_page(
    jobs: SqliteJobStore, stats: SqliteStatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mixed_life(jobs)
    whole = fold(await jobs.feed(0, 1_000))
    engine = MetricsEngine(jobs, stats)
    feed, dropped = jobs.feed, []

    async def sweep_and_feed(after: int, limit: int) -> list[Event]:
        if not dropped:
            for cursor in ("relay", STATISTICS_CURSOR):
                await jobs.advance(cursor, await jobs.head())
            dropped.append((await jobs.prune(Retention({"succeeded": 0, "failed": 0, "cancelled": 0}))).jobs)
        return await feed(after, limit)

    monkeypatch.setattr(jobs, "feed", sweep_and_feed)
    await engine.catch_up()
    assert dropped[0] > 5
    assert await stats.whole() == (await jobs.head(), whole)


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
