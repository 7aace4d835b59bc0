"""The event log on a MongoDB server with 200,000 events: each query looks at what it asks for, not at everything."""

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from contracts.event import Event
from contracts.times import to_rfc3339
from functions.stores.backends.mongo_event_log import MongoEventLog
from functions.stores.event_log import Extent
from tests.support.servers import server_url

pytestmark = pytest.mark.servers
EVENTS = 200_000
EACH_LONG = 20  # every so many events one is of the long stream
START = 1_795_000_000_000_000
SECONDS, PASSES = 30.0, 50.0  # generous: FerretDB passes over all within PostgreSQL, once a query; MongoDB has an index for each


def event(position: int) -> Event:
    subject = "schedule/nightly" if position % EACH_LONG == 0 else f"job/{position // 4}"
    return Event({
        "specversion": "1.0", "id": f"{subject}/{position}", "source": "urn:observatory:size", "subject": subject, "sequence": str(position),
        "type": "dev.observatory.job.queued.v1", "time": to_rfc3339(START + position * 1_000), "position": str(position), "data": {"text": "x" * 500},
    })  # fmt: skip


async def fill(log: MongoEventLog, after: int, upto: int) -> None:
    for first in range(after + 1, upto + 1, 1_000):
        last = min(first + 999, upto)
        assert await log.insert_batch([event(position) for position in range(first, last + 1)], first - 1, last)


@pytest.fixture
async def log() -> AsyncIterator[MongoEventLog]:
    server, _, options = server_url("mongo").partition("?")
    log = MongoEventLog(f"{server.rpartition('/')[0]}/size_{uuid.uuid4().hex[:12]}" + (f"?{options}" if options else ""), "urn:observatory:size")
    yield log
    await log._client.drop_database(log._events.database)
    await log.close()


async def test_each_query_is_bounded_at_200_000_events(log: MongoEventLog, record_testsuite_property: Callable[[str, object], None]) -> None:
    await fill(log, 0, EVENTS)
    took: dict[str, float] = {}

    async def timed(name: str, query: Awaitable[Any]) -> Any:
        begun = time.monotonic()
        found = await query
        took[name] = time.monotonic() - begun
        return found

    assert await timed("extent", log.extent()) == Extent(1, EVENTS)
    found = await timed("a job's events", log.of_subject("job/31250", 100))
    assert [each.position for each in found] == [125_003, 125_002, 125_001]  # 125,000 is of the long stream
    found = await timed("a page of a long stream", log.of_subject("schedule/nightly", 50))
    assert [each.position for each in found] == list(range(EVENTS, EVENTS - 50 * EACH_LONG, -EACH_LONG))
    found = await timed("its last page", log.of_subject("schedule/nightly", 50, before=51 * EACH_LONG))
    assert [each.position for each in found] == list(range(50 * EACH_LONG, 0, -EACH_LONG))
    assert [each.position for each in await timed("a bucket", log.of_bucket(123))] == list(range(123_000, 124_000))
    assert await timed("a batch that is there already", log.insert_batch([event(EVENTS)], EVENTS - 1, EVENTS)) is False
    assert await timed("a new batch", log.insert_batch([event(position) for position in range(EVENTS + 1, EVENTS + 501)], EVENTS, EVENTS + 500))
    assert await timed("dropping a bucket", log.prune(START + 1_500_000)) == 999
    one_pass = min([await lasts(log.of_subject(f"job/none-{number}", 100)) for number in range(3)])
    figures = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in took.items())
    record_testsuite_property("event_log_at_200_000", figures)
    assert all(seconds < min(PASSES * one_pass, SECONDS) for seconds in took.values()), f"{figures}; one pass {one_pass * 1000:.0f} ms"


async def lasts(query: Awaitable[Any]) -> float:
    begun = time.monotonic()
    await query
    return time.monotonic() - begun
