"""The live stream: picked by queries as the log tells it, dropped when read too slowly, many at once, without gap or repeat."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import Draining
from contracts.event import Event
from contracts.folding import fold_job
from contracts.query import Query
from contracts.times import from_rfc3339
from functions.read_model.event_stream import EventStream
from functions.read_model.frames import HELD_BYTES, Wanted
from functions.read_model.stream import SLOW_SECONDS, Hub
from functions.runtime.redaction import nothing_hidden
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.job_store import PUBLISH_CURSOR, STATISTICS_CURSOR, JobStore
from functions.stores.retention import Retention
from tests.ports.job_store.searching import NUMBERED, World, with_ids
from tests.ports.test_sqlite_job_store import SqliteLaboratory
from tests.support.queries import payloads, queries
from tests.support.stores import run_all, submit
from tests.support.streams import Stream
from tests.support.system import System
from tests.support.waiting import wait_until

ID = re.compile(rb"^id: (\d+)\nevent: (?!reset)", re.M)
LAST = re.compile(rb"^id: (\d+)$", re.M)


# ---- queries ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def laboratory(quick_folder: Path) -> SqliteLaboratory:
    return SqliteLaboratory(quick_folder)


@pytest.fixture
async def store(laboratory: SqliteLaboratory) -> AsyncIterator[JobStore]:
    store = await laboratory.open()
    await store.declare_queues([("default", None, None, False), ("bulk", None, None, False)])
    yield store
    await store.close()


class Watcher:
    """Reads a hub's stream in the background: the positions of its events, and how far it has come."""

    def __init__(self, hub: Hub, after: int, query: Query) -> None:
        self.positions: list[int] = []
        self.reached = -1
        self._task = asyncio.create_task(self._read(hub.watch(after, Wanted(query=None if query.is_everything else query))))

    async def _read(self, chunks: Any) -> None:
        async for chunk in chunks:
            self.positions += [int(found) for found in ID.findall(chunk)]
            self.reached = max(self.reached, *map(int, LAST.findall(chunk)))

    async def upto(self, position: int) -> list[int]:
        async with asyncio.timeout(20):
            while self.reached < position:
                await asyncio.sleep(0.002)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.positions


async def fitting(store: JobStore, query: Query, after: int) -> list[int]:
    """The positions that a query must pick, each job folded from its beginning."""
    found = []
    for event in await store.feed(after, 10_000):
        if query.is_everything or await _fits(store, query, event):
            found.append(event.position)
    return found


async def _fits(store: JobStore, query: Query, event: Event) -> bool:
    if not (event.subject or "").startswith("job/"):
        return False
    events = await store.events_of(event.subject or "", 0, int(event.document["sequence"]))
    folded = fold_job(each.document for each in events)
    assert folded.job is not None
    ended = [token for token, attempt in folded.attempts.items() if attempt.finished_at is not None]
    outputs = [each.output for each in await store.attempts(folded.job.id) if each.lease_token in ended and each.output]
    return query.matches(folded.job, now=from_rfc3339(event.document["time"]), outputs=outputs)


_worlds: dict[int, World] = {}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(acts=st.lists(st.tuples(st.integers(0, 10**9), payloads), min_size=1, max_size=6), query=queries(NUMBERED), cut=st.integers(0, 60))
async def test_a_query_picks_the_same_events_live_resumed_and_from_the_past(
    store: JobStore, laboratory: SqliteLaboratory, acts: list[tuple[int, Any]], query: Query, cut: int
) -> None:
    world = _worlds.setdefault(id(store), World(store, laboratory))
    where = Query(with_ids(query.root, world.ids))
    hub = Hub(store, nothing_hidden, heartbeat_seconds=0.01)
    begin = await store.head()
    live = Watcher(hub, begin, where)
    for seed, payload in acts:
        await world.act(seed, payload)
    head = await store.head()
    expected = await fitting(store, where, begin)
    assert await live.upto(head) == expected, str(where)
    assert await Watcher(hub, begin, where).upto(head) == expected, str(where)
    middle = max(head - cut, 0)
    assert await Watcher(hub, middle, where).upto(head) == await fitting(store, where, middle)
    await hub.close()


def told_of(chunks: list[bytes]) -> tuple[list[int], list[int]]:
    """The positions of the events that a stream brought, and those from which on it said that it goes on; nothing may come twice."""
    text = b"".join(chunks)
    came = [int(found) for found in ID.findall(text)]
    assert came == sorted(set(came))
    return came, [int(found) for found in re.findall(rb"^id: (\d+)\nevent: reset", text, re.M)]


async def drop_all(store: JobStore) -> int:
    for cursor in (PUBLISH_CURSOR, STATISTICS_CURSOR):
        await store.advance(cursor, await store.head())
    return (await store.prune(Retention({"succeeded": 0}, batch=500))).jobs


async def test_a_stream_that_catches_up_while_retention_works_says_what_is_missing(store: SqliteJobStore) -> None:
    for _ in range(3):
        await submit(store, 100)
        await run_all(store)
    head, hub, chunks = await store.head(), Hub(store, nothing_hidden), []
    stream = hub.watch(0)
    async for chunk in stream:
        chunks.append(chunk)
        if len(chunks) == 2:
            assert await drop_all(store) > 200
        if told_of(chunks)[0][-1:] == [head]:
            break
    await stream.aclose()
    await hub.close()
    came, resets = told_of(chunks)
    assert len(resets) == 1
    missing = set(range(1, head + 1)) - set(came)
    assert missing
    assert max(missing) <= resets[0] == await store.dropped()
    first_gap = min(missing)
    assert not [position for position in came if first_gap < position <= resets[0]]


async def test_watchers_of_a_tail_that_retention_overtook_are_told(store: SqliteJobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the commits are another process's, and the feed is looked at from time to time."""
    monkeypatch.setattr(Hub, "_committed", lambda hub, events: None)
    hub = Hub(store, nothing_hidden, poll_seconds=0.3)
    await submit(store)
    begin, chunks = await store.head(), []
    stream = hub.watch(begin)
    chunks.append(await anext(stream))
    await submit(store, 5)
    await run_all(store)
    await submit(store, 2)
    assert await drop_all(store) == 6
    head = await store.head()
    async with asyncio.timeout(20):
        while told_of(chunks)[0][-1:] != [head]:
            chunks.append(await anext(stream))
    await stream.aclose()
    await hub.close()
    came, resets = told_of(chunks)
    assert resets == [await store.dropped()]
    assert came == [event.position for event in await store.feed(resets[0], 100)]


async def test_what_is_hidden_picks_nothing(store: JobStore, laboratory: SqliteLaboratory) -> None:
    def hide(event: Event) -> Event:
        if not event.type.endswith("job.accepted.v1"):
            return event
        return Event({**event.document, "data": {**event.data, "payload": {"key": "[redacted]"}}})

    async def hiding(events: Sequence[Event]) -> Sequence[Event]:
        return [hide(event) for event in events]

    from contracts.query import parse
    from tests.ports.job_store.steps import one, run

    hub = Hub(store, hiding, heartbeat_seconds=0.01)
    begin = await store.head()
    for query in ("s3cr3t", "payload.key:s3cr3t"):
        live = Watcher(hub, begin, parse(query))
        await one(store, payload={"key": "s3cr3t"})
        await run(store)
        assert await live.upto(await store.head()) == []
        assert await Watcher(hub, begin, parse(query)).upto(await store.head()) == []
    await hub.close()


def test_a_stream_is_picked_by_a_query_over_http(system: System) -> None:
    head = system.request("GET", "/v1/stats").json()["head"]
    stream = Stream(system, f"?after={head}&q=tag:picked%20state:succeeded,failed")
    others = [system.submit("demo.noop") for _ in range(3)]
    good = system.submit("demo.noop", tags=["picked"])
    bad = system.submit("demo.fail", {"times": 9}, tags=["picked"], max_attempts=1)
    for job_id in (*others, good, bad):
        system.ended(job_id)
    messages = stream.messages()
    told = [next(messages) for _ in range(2)]
    stream.close()
    assert {data["subject"]: data["type"].split(".")[3] for _, _, data in told} == {f"job/{good}": "succeeded", f"job/{bad}": "failed"}


@pytest.mark.parametrize(("query", "words"), [("q=sate:failed", "did you mean state?"), ("q=age", ""), ("q=(", "not closed")])
def test_a_stream_refuses_a_query_that_cannot_be_read(system: System, query: str, words: str) -> None:
    answer = system.request("GET" if "age" not in query else "HEAD", f"/v1/stream?{query}")
    assert answer.status == (400 if words else 200)
    assert words in answer.body.decode()


# ---- slow readers -----------------------------------------------------------------------------------------------


def test_a_reader_that_is_too_slow_is_dropped_and_resumes_without_gap_or_repeat(system: System) -> None:
    """More is said than its connection and the hub hold; then it reads, is let go, and comes again, until it has everything."""
    head = system.request("GET", "/v1/stats").json()["head"]
    stream = Stream(system, f"?after={head}", buffer_bytes=4_096)
    text = {"text": "x" * 20_000}
    batch = {"jobs": [{"type": "text.statistics", "payload": text, "delay_seconds": 36_000, "tags": ["slow"]}] * 200}
    for _ in range(2 * HELD_BYTES // (200 * 20_000)):
        assert system.request("POST", "/v1/jobs/batch", batch).status == 200
    last = system.request("GET", "/v1/stats").json()["head"]
    time.sleep(1.5 * SLOW_SECONDS)  # it takes nothing for so long: the time itself is what makes it slow
    seen: list[int] = []
    drops = 0
    while not seen or seen[-1] < last:
        for position, _, _ in stream.messages():
            seen.append(position)
            if position >= last:
                break
        else:
            drops += 1
            stream.close()
            stream = Stream(system, headers={"Last-Event-ID": str(stream.last)})
    stream.close()
    assert seen == list(range(head + 1, last + 1))
    assert drops >= 1
    begun = system.request("POST", "/v1/bulk", {"action": "cancel", "q": "tag:slow"}).json()
    wait_until(lambda: system.request("GET", begun["url"]).json()["status"] == "finished", 60)


async def test_a_reader_that_takes_nothing_is_given_up() -> None:
    ended = asyncio.Event()

    async def chunks() -> Any:
        try:
            while True:
                yield b"id: 1\n\n"
        finally:
            ended.set()

    async def send(message: Any) -> None:
        if message.get("body"):
            await asyncio.Event().wait()  # a full connection

    async def receive() -> Any:
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        await EventStream(chunks(), stalled_seconds=0.02)({"type": "http", "method": "GET"}, receive, send)
        await ended.wait()


# ---- many -------------------------------------------------------------------------------------------------------


def threads_of(system: System) -> int:
    assert system.process is not None
    return len(list(Path(f"/proc/{system.process.pid}/task").iterdir()))


def test_200_streams_have_no_thread_each_and_all_hear(system: System) -> None:
    before = threads_of(system)
    streams = [Stream(system, "?q=tag:heard%20state:succeeded") for _ in range(200)]
    try:
        assert {stream.response.status for stream in streams} == {200}
        job_id = system.submit("demo.noop", tags=["heard"])
        for stream in streams:
            _, _, data = next(stream.messages())
            assert data["subject"] == f"job/{job_id}"
        assert threads_of(system) <= before + 8  # pools that fill up, not one a stream
    finally:
        for stream in streams:
            stream.close()


async def test_a_hub_that_closes_ends_its_streams_and_takes_no_more(store: SqliteJobStore) -> None:
    hub = Hub(store, nothing_hidden)
    stream = hub.watch(None)
    assert await anext(stream)
    await hub.close()
    assert [chunk async for chunk in stream] == []
    with pytest.raises(Draining):
        hub.check_room()
    assert hub.watchers == 0
