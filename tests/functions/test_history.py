"""History: what retention dropped from the job store comes from the event log, and no page shows where the one ends."""

from dataclasses import replace

import pytest

from contracts.catalogue import Catalogue
from contracts.errors import JobNotFound, StoreUnavailable
from contracts.event import Event
from functions.metrics_engine.service import MetricsEngine
from functions.read_model import history
from functions.read_model.history import History
from functions.read_model.service import ReadModel
from functions.scheduler.sweeping import Sweeper
from functions.stores.backends.feed_event_log import FeedEventLog
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.event_log import Extent
from functions.stores.retention import Keeping
from tests.support.memory_event_log import MemoryEventLog
from tests.support.readers import EVERYTHING
from tests.support.stores import mixed_life, run_all, submit


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


@pytest.fixture
async def whole(jobs: SqliteJobStore, stats: SqliteStatsStore, log: MemoryEventLog) -> list[Event]:
    """Every event there was, newest first; most of them are dropped from the job store, and new ones came afterwards."""
    await mixed_life(jobs)
    engine = MetricsEngine(jobs, stats, log)
    await engine.catch_up()
    await jobs.advance("relay", await jobs.head())
    assert (await jobs.prune(EVERYTHING)).jobs > 5
    await submit(jobs, 2)
    await engine.catch_up()
    return [event for _, event in sorted(log.kept.items())][::-1]


async def pages(past: History, limit: int, types: tuple[str, ...] = (), stream: str | None = None) -> list[Event]:
    """Every page after the other; none holds more than `limit`."""
    found: list[Event] = []
    before: int | None = None
    while True:
        page = await past.events(types, stream, limit, before)
        assert len(page.items) <= limit
        found += page.items
        if page.next_cursor is None:
            return found
        assert before is None or int(page.next_cursor) < before
        before = int(page.next_cursor)


@pytest.mark.parametrize("limit", [1, 3, 7, 500])
async def test_pages_run_from_the_job_store_into_the_event_log_without_gap_or_repeat(
    jobs: SqliteJobStore, log: MemoryEventLog, whole: list[Event], limit: int
) -> None:
    past = History(jobs, log)
    assert await pages(past, limit) == whole
    ended = {event.type for event in whole if event.type.endswith(("failed.v1", "cancelled.v1"))}
    assert await pages(past, limit, tuple(ended)) == [event for event in whole if event.type in ended]
    for stream in {event.subject for event in whole}:
        assert await pages(past, limit, (), stream) == [event for event in whole if event.subject == stream]
    retried = next(event.subject for event in whole if event.type.endswith("reopened.v1"))
    assert await pages(past, limit, tuple(ended), retried) == [event for event in whole if event.type in ended and event.subject == retried]


async def test_rare_types_are_looked_for_in_a_bounded_part_of_the_log_at_a_time(
    jobs: SqliteJobStore, log: MemoryEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dropped() -> int:
        return 4_600

    rare = {7, 2_500, 2_999, 3_000, 4_599}
    events = [Event({"type": "rare" if position in rare else "often", "position": str(position)}) for position in range(1, 4_601)]
    await log.insert_batch(events, 0, 4_600)
    monkeypatch.setattr(jobs, "dropped", dropped)
    monkeypatch.setattr(history, "BUCKETS_A_PAGE", 2)
    past = History(jobs, log)
    first = await past.events(["rare"], None, 10, 4_601)
    assert ([event.position for event in first.items], first.next_cursor) == ([4_599, 3_000], "3000")
    assert [event.position for event in await pages(past, 10, ("rare",))] == sorted(rare, reverse=True)
    assert [event.position for event in await pages(past, 1, ("rare",))] == sorted(rare, reverse=True)


async def test_from_which_position_on_nothing_is_missing_is_said(jobs: SqliteJobStore, log: MemoryEventLog, whole: list[Event]) -> None:
    dropped = await jobs.dropped()
    assert (await History(jobs, FeedEventLog(jobs)).events((), None, 10, None)).complete_from == dropped + 1
    assert (await History(jobs, log).events((), None, 10, None)).complete_from == 1
    log.kept_extent = Extent(5, log.kept_extent.last)  # its own retention
    assert (await History(jobs, log).events((), None, 10, None)).complete_from == 5
    log.kept_extent = Extent(1, log.kept_extent.last, dropped - 2)  # it had lost something, and was filled again
    assert (await History(jobs, log).events((), None, 10, None)).complete_from == dropped - 1
    log.kept_extent = Extent(1, dropped - 1)  # it lost something, or began too late
    assert (await History(jobs, log).events((), None, 10, None)).complete_from == dropped + 1


async def test_what_an_event_log_that_began_late_lacks_comes_from_the_job_store(
    jobs: SqliteJobStore, log: MemoryEventLog, whole: list[Event]
) -> None:
    await log.cut(10)
    assert await jobs.dropped() > 10
    here = await jobs.feed(10, 1_000)
    assert await pages(History(jobs, log), 4) == [*reversed(here), *(event for event in whole if event.position <= 10)]


async def test_while_the_event_log_is_away_the_newest_are_answered_and_what_only_it_has_is_refused(
    jobs: SqliteJobStore, log: MemoryEventLog, whole: list[Event]
) -> None:
    log.away = True
    past = History(jobs, log)
    page = await past.events((), None, 500, None)
    assert page.items == [event for event in whole if event.position > await jobs.dropped()]
    assert page.next_cursor is not None
    with pytest.raises(StoreUnavailable, match="the event log"):
        await past.events((), None, 500, int(page.next_cursor))


async def test_where_the_event_log_is_but_a_view_the_job_store_answers_alone(jobs: SqliteJobStore, whole: list[Event]) -> None:
    assert await pages(History(jobs, FeedEventLog(jobs)), 7) == [*reversed(await jobs.feed(0, 1_000))]


async def test_the_timeline_of_a_dropped_job_is_still_there(jobs: SqliteJobStore, log: MemoryEventLog, whole: list[Event]) -> None:
    past = History(jobs, log)
    here = {event.subject for event in await jobs.feed(0, 1_000)}
    gone = next(event.subject for event in whole if event.subject.startswith("job/") and event.subject not in here)
    timeline = [event for event in whole if event.subject == gone][::-1]
    job_id = gone.removeprefix("job/")
    assert await past.timeline(job_id, 0, 100) == timeline
    assert await past.timeline(job_id, 1, 2) == timeline[1:3]
    with pytest.raises(JobNotFound):
        await past.timeline("01a214f9-8e25-7fae-bc52-9b9affcd20a9", 0, 100)
    with pytest.raises(JobNotFound):
        await History(jobs, FeedEventLog(jobs)).timeline(job_id, 0, 100)


async def test_the_event_log_is_swept_by_its_own_age_and_jobs_do_not_wait_for_it(
    jobs: SqliteJobStore, stats: SqliteStatsStore, log: MemoryEventLog, whole: list[Event]
) -> None:
    days = Keeping(succeeded_days=0.000_000_1, failed_days=0.000_000_1, history_days=1.0)
    await run_all(jobs)
    await MetricsEngine(jobs, stats, log).catch_up()
    await jobs.advance("relay", await jobs.head())
    kept = len(log.kept)
    log.away = True
    assert await Sweeper(jobs, stats, log, days).sweep(5.0) > 0
    log.away = False
    await Sweeper(jobs, stats, log, days).sweep(5.0)
    assert len(log.kept) == kept  # younger than a day
    await Sweeper(jobs, stats, log, replace(days, history_days=0.000_000_1)).sweep(5.0)
    assert log.kept == {}


# ---- what the read model says -----------------------------------------------------------------------------------


async def away(*args: object) -> None:
    raise StoreUnavailable("the statistics store (a test) does not answer")


async def test_statistics_that_lag_end_where_they_are_complete(jobs: SqliteJobStore, stats: SqliteStatsStore) -> None:
    model = ReadModel(jobs, stats, FeedEventLog(jobs), Catalogue(()))
    await submit(jobs, 2)
    await MetricsEngine(jobs, stats).catch_up()
    shown = await model.stats()
    assert (shown["lag"], shown["accepted"], shown["as_of"] > (await jobs.feed(0, 100))[-1].time) == (0, 2, True)
    counted = await jobs.head()
    await submit(jobs, 3)
    shown = await model.stats()
    assert (shown["lag"], shown["accepted"]) == (6, 2)
    assert shown["as_of"] == (await jobs.feed(counted, 1))[0].time


async def test_every_store_tells_its_condition(jobs: SqliteJobStore, stats: SqliteStatsStore, log: MemoryEventLog, whole: list[Event]) -> None:
    model = ReadModel(jobs, stats, log, Catalogue(()))
    items = (await model.stores())["items"]
    assert [(item["name"], item["verdict"], item["lag"]) for item in items] == [("jobs", "ok", None), ("statistics", "ok", 0), ("event log", "ok", 0)]
    log.away = True
    counted = await jobs.head()
    await run_all(jobs)
    items = (await model.stores())["items"]
    assert [(item["verdict"], item["lag"]) for item in items] == [("ok", None), ("ok", await jobs.head() - counted), ("fail", None)]
    assert items[2]["mend"]
    assert 'observatory_store_up{store="event log"} 0.0' in (await model.metrics()).decode()


async def test_what_does_not_need_the_statistics_goes_on_without_them(
    jobs: SqliteJobStore, stats: SqliteStatsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mixed_life(jobs)
    monkeypatch.setattr(stats, "read", away)
    monkeypatch.setattr(stats, "cursor", away)
    model = ReadModel(jobs, stats, FeedEventLog(jobs), Catalogue(()))
    assert (await model.overview())["states"]["succeeded"] == 5
    assert (await model.alerts())["items"] is not None
    text = (await model.metrics()).decode()
    assert 'observatory_jobs{queue="default",state="succeeded",type="demo.noop"} 5.0' in text
    assert 'observatory_store_up{store="statistics"} 0.0' in text
    assert "observatory_jobs_accepted_total{" not in text
    with pytest.raises(StoreUnavailable, match="statistics store"):
        await model.stats()


async def test_below_the_first_event_there_is_none_in_either_event_log(jobs: SqliteJobStore, log: MemoryEventLog) -> None:
    for either in (History(jobs, FeedEventLog(jobs)), History(jobs, log)):
        assert (await either.events([], None, 10, 1)).items == []
