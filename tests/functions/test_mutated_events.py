"""A mutated event of each type, to each function behind the broker, ends as a dead letter with its reason."""

import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.requests import Request

from contracts import validation
from contracts.event import Event
from contracts.event_types import EVENT_TYPES
from functions.dead_letter.service import DeadLetterKeeper
from functions.metrics_engine.service import MetricsEngine
from functions.processor.pace import HeldBack
from functions.processor.service import Processor
from functions.runtime.entrypoint import Function, event_function
from functions.scheduler.service import Scheduler
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from tests.support.stores import sqlite_store

LOGGED = sorted(name for name, kind in EVENT_TYPES.items() if kind.logged)


class NoPool:
    """Stands where the worker pool is: these events must never reach it."""

    def submit(self, assignments: Any) -> None:
        raise AssertionError("a mutated event led to work")

    def wanted(self) -> int:
        return 0

    def held_back(self) -> HeldBack:
        return HeldBack()

    def held(self) -> list[tuple[str, int]]:
        return []


class Bell:
    def ring_relay(self) -> None: ...
    def ring_queue(self, queue: str, depth: int) -> None: ...
    async def ring_readers(self) -> None: ...


def consumers(store: SqliteJobStore) -> dict[str, Any]:
    return {
        "processor": Processor(store, NoPool(), queues={"default": object()}, instance="test"),  # type: ignore[arg-type]
        "metrics_engine": MetricsEngine(store, SqliteStatsStore(store.database)),
        "scheduler": Scheduler(store, Bell()),
        "dead_letter": DeadLetterKeeper(store),
    }


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(tmp_path) as opened:
        yield opened


def mutated(event_type: str) -> Event:
    kind = EVENT_TYPES[event_type]
    document = copy.deepcopy(validation.example(f"events/{kind.short}.v{kind.version}"))
    document["data"] = "what was once an object"
    document["id"] += "-mutated"
    return Event(document)


async def post(function: Function, path: str, headers: dict[str, str], body: bytes) -> int:
    """One request to a function, as its server hands it over."""
    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return (await function(Request(scope, receive))).status_code


@pytest.mark.parametrize("consumer", ["processor", "metrics_engine", "scheduler", "dead_letter"])
async def test_a_mutated_event_of_each_type_ends_as_a_dead_letter(store: SqliteJobStore, consumer: str) -> None:
    service = consumers(store)[consumer]

    async def build() -> Any:
        return service

    function = event_function(consumer, build)
    for event_type in LOGGED:
        event = mutated(event_type)
        status = await post(
            function, f"/triggers/{consumer}", {"content-type": "application/cloudevents+json"}, event.canonical()
        )
        assert status == 200, event_type  # never a 4xx: the RabbitMQ Broker would drop the event
    letters = {letter.event_type: letter for letter in (await store.dead_letters(100, None, None)).items}
    assert sorted(letters) == LOGGED  # type: ignore[type-var]
    for event_type, letter in letters.items():
        assert letter.trigger == consumer
        assert orjson.loads(letter.body) == mutated(str(event_type)).document
        assert letter.reason


@pytest.mark.parametrize("consumer", ["processor", "metrics_engine", "scheduler"])
async def test_the_reason_names_the_fault(store: SqliteJobStore, consumer: str) -> None:
    await consumers(store)[consumer].handle("some-trigger", [mutated("dev.observatory.job.queued.v1")])
    (letter,) = (await store.dead_letters(10, None, None)).items
    assert "contract-violation" in letter.reason and "/data" in letter.reason


@pytest.mark.parametrize("time", ["2026-11-26T02:40:16.50015Z", "2026-11-26T02:40:16Z", "2026-11-26T03:40:16.5+01:00"])
async def test_an_instant_that_a_broker_wrote_anew_is_no_fault(store: SqliteJobStore, time: str) -> None:
    """Knative's ingress and dispatchers drop the zeros at the end of a fraction: one event of ten comes so."""
    kind = EVENT_TYPES["dev.observatory.job.queued.v1"]
    document = copy.deepcopy(validation.example(f"events/{kind.short}.v{kind.version}")) | {"time": time}
    (event,) = await Scheduler(store, Bell()).valid("some-trigger", [Event(document)])
    assert len(event.time or "") == len("2026-11-26T02:40:16.500150Z") and event.time.startswith("2026-11-26T02:40:16")  # type: ignore[union-attr]
    assert not (await store.dead_letters(10, None, None)).items


async def test_an_instant_that_is_none_is_refused_as_it_came(store: SqliteJobStore) -> None:
    event = Event(copy.deepcopy(validation.example("events/job.queued.v1")) | {"time": "2026-13-26T02:40:16Z"})
    assert await Scheduler(store, Bell()).valid("some-trigger", [event]) == []
    (letter,) = (await store.dead_letters(10, None, None)).items
    assert orjson.loads(letter.body)["time"] == "2026-13-26T02:40:16Z" and "/time" in letter.reason


@pytest.mark.parametrize("consumer", ["processor", "metrics_engine", "scheduler", "dead_letter"])
async def test_bytes_that_are_no_event_are_kept_as_they_came(store: SqliteJobStore, consumer: str) -> None:
    service = consumers(store)[consumer]

    async def build() -> Any:
        return service

    broken = b'{"specversion": "1.0", "id": '
    headers = {"content-type": "application/cloudevents+json"}
    function = event_function(consumer, build)
    assert await post(function, "/triggers/some-trigger", headers, broken) == 200
    assert await post(function, "/triggers/some-trigger", headers, broken) == 200
    (letter,) = (await store.dead_letters(10, None, None)).items
    assert letter.body == broken
    assert letter.event_id.startswith("sha256:")
    assert letter.attempts == 2


async def test_one_bad_event_does_not_stop_its_neighbours(store: SqliteJobStore) -> None:
    from tests.support.stores import run_all, submit

    await submit(store, 2)
    await run_all(store)
    engine = MetricsEngine(store, SqliteStatsStore(store.database))
    events = await store.feed(0, 100)
    bad = mutated("dev.observatory.job.queued.v1")
    assert list(await engine.handle("metrics-engine", [bad, *events])) == [200] * (len(events) + 1)
    assert (await store.cursors())["statistics"] == await store.head()
