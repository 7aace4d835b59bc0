"""What every `EventLog` does, over the view of the job store's feed and over MongoDB, and what MongoDB's does beside."""

import asyncio
import gc
import uuid
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from contracts.errors import ConfigurationError, StoreUnavailable
from contracts.event import Event
from contracts.times import to_rfc3339
from functions.stores.backends.feed_event_log import FeedEventLog
from functions.stores.backends.mongo_event_log import MongoEventLog
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.event_log import EventLog, Extent, bucket_of_position
from tests.support.servers import server_url
from tests.support.stores import run_all, sqlite_store, submit

DAY = 86_400_000_000
START = 1_795_000_000_000_000


@pytest.fixture
async def jobs(quick_folder: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(quick_folder) as store:
        yield store


@pytest.fixture
async def mongo_url() -> AsyncIterator[str]:
    """A database of its own on a server that others use, too."""
    server, _, options = server_url("mongo").partition("?")
    url = f"{server.rpartition('/')[0]}/test_{uuid.uuid4().hex[:12]}" + (f"?{options}" if options else "")
    yield url
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        await client.drop_database(client.get_default_database())


@pytest.fixture
async def mongo(mongo_url: str) -> AsyncIterator[MongoEventLog]:
    log = MongoEventLog(mongo_url, "urn:observatory:test")
    yield log
    await log.close()


@pytest.fixture(params=["feed", pytest.param("mongo", marks=pytest.mark.servers)])
def log(request: pytest.FixtureRequest, jobs: SqliteJobStore) -> EventLog:
    return FeedEventLog(jobs) if request.param == "feed" else request.getfixturevalue("mongo")


def events(first: int, last: int, at: int = START, **changes: Any) -> list[Event]:
    return [
        Event({
            "specversion": "1.0", "id": f"job/{position % 7}/{position}", "source": "urn:observatory:test", "subject": f"job/{position % 7}",
            "type": "dev.observatory.job.queued.v1", "time": to_rfc3339(at), "sequence": str(position), "position": str(position), "data": {}, **changes,
        })
        for position in range(first, last + 1)
    ]  # fmt: skip


# ---- every event log --------------------------------------------------------------------------------------------


async def test_a_subject_has_its_events_newest_first(jobs: SqliteJobStore, log: EventLog) -> None:
    first, _ = await submit(jobs, 2)
    await run_all(jobs)
    assert await log.insert_batch(await jobs.feed(0, 1_000), 0, await jobs.head())
    found = await log.of_subject(f"job/{first}", 100)
    assert [event.document["sequence"] for event in found] == ["4", "3", "2", "1"]
    assert found == (await jobs.events_of(f"job/{first}"))[::-1]
    assert await log.of_subject(f"job/{first}", 2) == found[:2]
    assert await log.of_subject(f"job/{first}", 2, before=found[1].position) == found[2:]
    assert await log.of_subject("job/none", 100) == []


async def test_a_bucket_has_a_thousand_positions(jobs: SqliteJobStore, log: EventLog) -> None:
    await submit(jobs, 600)
    found = await jobs.feed(0, 10_000)
    assert await log.insert_batch(found, 0, found[-1].position)
    assert [event.position for event in await log.of_bucket(0)] == list(range(1, 1_000))
    assert [event.position for event in await log.of_bucket(1)] == list(range(1_000, await jobs.head() + 1))
    assert {bucket_of_position(event.position) for event in await log.of_bucket(1)} == {1}
    assert await log.of_bucket(2) == []
    assert [event.position for event in await log.of_bucket(0) + await log.of_bucket(1)] == [event.position for event in found]


async def test_its_extent_is_what_was_kept(jobs: SqliteJobStore, log: EventLog) -> None:
    await log.ping()
    assert await log.extent() in (Extent(1, 0), Extent(1, await jobs.head()))
    await submit(jobs, 3)
    await log.insert_batch(await jobs.feed(0, 100), 0, await jobs.head())
    assert await log.extent() == Extent(1, await jobs.head())


# ---- MongoDB ----------------------------------------------------------------------------------------------------


@pytest.mark.servers
async def test_a_repeated_batch_adds_nothing_and_a_late_one_does_not_move_the_cursor(mongo: MongoEventLog) -> None:
    assert await mongo.insert_batch(events(1, 10), 0, 10)
    assert not await mongo.insert_batch(events(1, 10), 0, 10)
    assert not await mongo.insert_batch(events(1, 5), 0, 5)
    assert await mongo.extent() == Extent(1, 10)
    assert await mongo.insert_batch(events(11, 12), 10, 12)
    assert [event.position for event in await mongo.of_bucket(0)] == list(range(1, 13))


@pytest.mark.servers
async def test_a_batch_that_was_cut_off_is_completed_by_the_next_try(mongo: MongoEventLog) -> None:
    await mongo.extent()
    await mongo._events.insert_many([{"_id": n, "bucket": 0, "body": event.canonical().decode()} for n, event in enumerate(events(1, 6), 1) if n % 2])
    assert await mongo.extent() == Extent(1, 0)  # killed before the cursor
    assert await mongo.insert_batch(events(1, 6), 0, 6)
    assert [event.position for event in await mongo.of_bucket(0)] == list(range(1, 7))


@pytest.mark.servers
async def test_of_many_writers_at_once_none_leaves_a_gap_or_a_repeat(mongo: MongoEventLog, mongo_url: str) -> None:
    others = [MongoEventLog(mongo_url, "urn:observatory:test") for _ in range(3)]

    async def follow(log: MongoEventLog, size: int) -> None:
        while (after := (await log.extent()).last) < 120:
            upto = min(after + size, 120)
            await log.insert_batch(events(after + 1, upto), after, upto)

    await asyncio.gather(*(follow(log, size) for log, size in zip([mongo, *others], (7, 11, 13, 17), strict=True)))
    assert [event.position for event in await mongo.of_bucket(0)] == list(range(1, 121))
    assert await mongo.extent() == Extent(1, 120)
    for other in others:
        await other.close()


@pytest.mark.servers
async def test_what_bson_cannot_hold_comes_back_to_the_bit(mongo: MongoEventLog) -> None:
    hostile = {"$where": {"a.b": [(1 << 64) - 1, -(1 << 63), 1.0, 1, 1e300, None, "\x00", "𝄞", "\\"]}, "": {"$": ""}}
    (event,) = events(1, 1, data=hostile)
    await mongo.insert_batch([event], 0, 1)
    (found,) = await mongo.of_bucket(0)
    assert found.canonical() == event.canonical()


@pytest.mark.servers
async def test_retention_drops_whole_buckets_that_are_old_and_never_the_newest(mongo: MongoEventLog) -> None:
    await mongo.insert_batch(events(1, 1_999), 0, 1_999)
    await mongo.insert_batch(events(2_000, 2_999, START + 2 * DAY), 1_999, 2_999)
    await mongo.insert_batch(events(3_000, 3_010, START + 2 * DAY), 2_999, 3_010)
    assert await mongo.prune(START) == 0  # not older than that instant
    assert await mongo.prune(START + DAY) == 1_999
    assert await mongo.extent() == Extent(2_000, 3_010)
    assert (await mongo.of_bucket(1), len(await mongo.of_bucket(2))) == ([], 1_000)
    assert await mongo.prune(START + 9 * DAY) == 1_000
    assert len(await mongo.of_bucket(3)) == 11
    assert await mongo.insert_batch(events(3_011, 3_011), 3_010, 3_011)


@pytest.mark.servers
async def test_a_log_that_is_attached_late_begins_where_the_feed_does(mongo: MongoEventLog) -> None:
    assert await mongo.insert_batch(events(5_001, 5_010), 0, 5_010)
    assert await mongo.extent() == Extent(5_001, 5_010)
    await mongo.note_gap(5_004)
    await mongo.note_gap(5_002)
    extent = await mongo.extent()
    assert (extent, extent.complete_from) == (Extent(5_001, 5_010, 5_004), 5_005)
    await mongo.cut(5_003)
    assert await mongo.extent() == Extent(5_001, 5_003, 5_003)


@pytest.mark.servers
async def test_what_lies_beyond_the_job_stores_head_is_cut(mongo: MongoEventLog) -> None:
    await mongo.insert_batch(events(1, 2_500), 0, 2_500)
    await mongo.cut(1_200)
    assert await mongo.extent() == Extent(1, 1_200)
    assert [event.position for event in await mongo.of_bucket(1)] == list(range(1_000, 1_201))
    assert await mongo.of_bucket(2) == []


@pytest.mark.servers
async def test_a_cut_that_was_killed_leaves_no_event_that_the_feed_does_not_hold(mongo: MongoEventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a batch that was written and whose cursor was not; what is new takes their places."""
    await mongo.insert_batch(events(1, 1_004), 0, 1_004)
    with monkeypatch.context() as patch:
        patch.setattr(mongo._events, "delete_many", killed)
        with pytest.raises(InterruptedError):
            await mongo.cut(995)
    assert await mongo.extent() == Extent(1, 995)
    new = events(996, 1_002, START + 5 * DAY)
    assert await mongo.insert_batch(new, 995, 1_002)
    assert await mongo.of_bucket(0) + await mongo.of_bucket(1) == events(1, 995) + new + events(1_003, 1_004)
    assert await mongo.insert_batch(events(1_003, 1_005, type="dev.observatory.job.failed.v1"), 1_002, 1_005)
    assert [event.type for event in await mongo.of_bucket(1)][-3:] == ["dev.observatory.job.failed.v1"] * 3


@pytest.mark.servers
async def test_a_late_writer_changes_nothing_that_is_there(mongo: MongoEventLog) -> None:
    """It may know less of what is secret."""
    await mongo.insert_batch(events(1, 4, data={"secret": "[redacted]"}), 0, 4)
    assert not await mongo.insert_batch(events(1, 4, data={"secret": "told"}), 0, 4)
    assert not await mongo.insert_batch(events(1, 4, START + DAY), 0, 4)
    assert await mongo.of_bucket(0) == events(1, 4, data={"secret": "[redacted]"})


async def killed(*_: Any) -> None:
    raise InterruptedError


@pytest.mark.servers
async def test_a_database_that_is_dropped_begins_anew(mongo: MongoEventLog, mongo_url: str) -> None:
    await mongo.insert_batch(events(1, 10), 0, 10)
    async with AsyncMongoClient[dict[str, Any]](mongo_url) as client:
        await client.drop_database(client.get_default_database())
    assert not await mongo.insert_batch(events(11, 12), 10, 12)
    assert await mongo.extent() == Extent(1, 0)
    assert await mongo.insert_batch(events(1, 12), 0, 12)
    assert len(await mongo.of_bucket(0)) == 12


@pytest.mark.servers
async def test_the_log_of_another_deployment_is_not_written_to(mongo: MongoEventLog, mongo_url: str) -> None:
    await mongo.insert_batch(events(1, 1), 0, 1)
    stranger = MongoEventLog(mongo_url, "urn:observatory:other")
    with pytest.raises(StoreUnavailable, match=r"another deployment .*name another database"):
        await stranger.insert_batch(events(1, 1), 0, 1)
    await stranger.close()


def test_a_log_that_is_away_says_where_it_should_be_and_not_by_which_password() -> None:
    """In a loop of its own: pymongo's monitor, stopped while it connects, leaves its socket to the garbage collector."""

    async def ask() -> str:
        log = MongoEventLog("mongodb://ada:secret@127.0.0.1:9/observatory?serverSelectionTimeoutMS=100", "urn:observatory:test")
        with pytest.raises(StoreUnavailable, match=r"the event log \(MongoDB at 127\.0\.0\.1:9\) does not answer") as caught:
            await log.ping()
        await log.close()
        return str(caught.value)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        said = asyncio.run(ask())
        gc.collect()
    assert "secret" not in said


@pytest.mark.parametrize("url", ["mongodb://", "postgresql://here", "mongodb://a@b@c/", "mongodb://h/?tlsCAFile=/none"])
async def test_a_url_that_cannot_be_used_is_told_with_its_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="OBSERVATORY_MONGO_URL"):
        MongoEventLog(url, "urn:observatory:test")
