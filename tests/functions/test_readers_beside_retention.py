"""Readers of the feed that were lost, came back from a copy, or are kept elsewhere, while retention works."""

from pathlib import Path
from typing import Any

import pytest

from contracts.statistics import fold
from contracts.validation import validate_event
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
from tests.support.readers import EVERYTHING, Elsewhere, assert_equal_to_the_log, sweep_before_the_first_page, until
from tests.support.stores import mixed_life, run_all, sqlite_store, submit


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
    assert (await jobs.prune(EVERYTHING)).jobs == 0
    log.away = False
    await engine.catch_up()
    assert (await jobs.prune(EVERYTHING)).jobs > 5
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
    await jobs.prune(EVERYTHING)
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
    empty = MemoryEventLog()
    insert, dropped = empty.insert_batch, []

    async def sweep_and_insert(*batch: Any) -> bool:
        dropped.append((await jobs.prune(EVERYTHING)).jobs)
        return await insert(*batch)

    monkeypatch.setattr(empty, "insert_batch", sweep_and_insert)
    engine = MetricsEngine(jobs, stats, empty)
    if attached:
        await engine.attach()
        assert (await jobs.prune(EVERYTHING)).jobs == 0
    await engine.catch_up()
    await engine.drain()
    assert dropped == [0]
    assert list(empty.kept) == list(range(1, await jobs.head() + 1))
    assert empty.kept_extent.complete_from == 1
    assert any([(await jobs.prune(EVERYTHING)).jobs for _ in range(3)])


async def test_what_retention_drops_before_the_event_log_has_it_is_told_as_a_gap(
    jobs: SqliteJobStore, stats: SqliteStatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MemoryEventLog()
    await mixed_life(jobs)
    engine = MetricsEngine(jobs, stats, log)
    await engine.attach()
    await engine._followers[0].catch_up()
    first = (await jobs.feed(0, 1))[0]
    await log.insert_batch([first], 0, first.position)
    feed, dropped = jobs.feed, sweep_before_the_first_page(monkeypatch, jobs, EVENT_LOG_CURSOR)
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


async def folded_and_dropped(jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine) -> Any:
    """The statistics of a mixed life that every reader has passed, and that retention has dropped since."""
    await mixed_life(jobs)
    await engine.catch_up()
    await jobs.advance("relay", await jobs.head())
    before = await stats.whole()
    assert (await jobs.prune(EVERYTHING)).jobs > 5
    return before


async def test_lost_statistics_begin_at_the_checkpoint_and_are_equal_to_those_before(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine
) -> None:
    before = await folded_and_dropped(jobs, stats, engine)
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
    async with sqlite_store(tmp_path / "elsewhere") as other:
        stats = SqliteStatsStore(other.database)
        old = await jobs.feed(0, 3)
        await stats.apply(fold(old), 0, old[-1].position)
        for cursor in ("relay", STATISTICS_CURSOR):
            await jobs.advance(cursor, await jobs.head())
        apply, dropped = stats.apply, []

        async def sweep_and_apply(*fold: Any) -> bool:
            dropped.append((await jobs.prune(EVERYTHING)).jobs)
            return await apply(*fold)

        monkeypatch.setattr(stats, "apply", sweep_and_apply)
        await MetricsEngine(jobs, Elsewhere(stats)).catch_up()
        assert dropped == [0]
        assert await stats.whole() == (await jobs.head(), fold(await jobs.feed(0, 1_000)))
        assert (await jobs.prune(EVERYTHING)).jobs > 5


async def test_statistics_that_retention_has_passed_find_it_at_the_next_page(
    jobs: SqliteJobStore, stats: SqliteStatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mixed_life(jobs)
    whole = fold(await jobs.feed(0, 1_000))
    engine = MetricsEngine(jobs, stats)
    dropped = sweep_before_the_first_page(monkeypatch, jobs, STATISTICS_CURSOR)
    await engine.catch_up()
    assert dropped[0] > 5
    assert await stats.whole() == (await jobs.head(), whole)


async def test_statistics_older_than_what_was_dropped_are_built_anew(
    jobs: SqliteJobStore, stats: SqliteStatsStore, engine: MetricsEngine
) -> None:
    before = await folded_and_dropped(jobs, stats, engine)
    old = await jobs.feed(0, 3)
    await stats.clear()
    await stats.apply(fold(old), 0, old[-1].position)  # a copy from before, brought back
    await MetricsEngine(jobs, stats).catch_up()
    assert await stats.whole() == before
