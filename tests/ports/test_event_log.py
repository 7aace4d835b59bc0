"""What every `EventLog` does."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from functions.stores.backends.sqlite_event_log import SqliteEventLog
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.event_log import EventLog, bucket_of_position
from tests.support.stores import run_all, sqlite_store, submit


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(tmp_path) as store:
        yield store


@pytest.fixture
async def log(jobs: SqliteJobStore) -> EventLog:
    return SqliteEventLog(jobs.database)


async def test_a_subject_has_all_its_events_in_order(jobs: SqliteJobStore, log: EventLog) -> None:
    first, _ = await submit(jobs, 2)
    await run_all(jobs)
    await log.insert_batch(await jobs.feed(0, 1_000))
    events = await log.of_subject(f"job/{first}")
    assert [event.document["sequence"] for event in events] == ["1", "2", "3", "4"]
    assert await log.of_subject("job/none") == []


async def test_a_bucket_has_a_thousand_positions(jobs: SqliteJobStore, log: EventLog) -> None:
    await submit(jobs, 600)
    events = await jobs.feed(0, 10_000)
    await log.insert_batch(events)
    await log.insert_batch(events)  # a repeat adds nothing
    assert [event.position for event in await log.of_bucket(0)] == list(range(1, 1_000))
    assert [event.position for event in await log.of_bucket(1)] == list(range(1_000, await jobs.head() + 1))
    assert {bucket_of_position(event.position) for event in await log.of_bucket(1)} == {1}
    assert await log.of_bucket(2) == []
