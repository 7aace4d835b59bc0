"""Several machines on one store, of which one brings tasks with secrets that the others do not know: nothing of these leaves through them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.catalogue import Catalogue, TaskDefinition
from contracts.errors import StoreUnavailable
from contracts.event import Event
from contracts.query import parse
from contracts.schedule import ScheduleSpec
from functions.metrics_engine.service import MetricsEngine
from functions.read_model.service import ReadModel
from functions.read_model.stream import Hub
from functions.runtime.parts import Parts
from functions.runtime.redaction import Redactor, secret_schemas
from functions.runtime.settings import load
from functions.stores.backends.feed_event_log import FeedEventLog
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from tests.ports.job_store.steps import request, submitted
from tests.support.memory_event_log import MemoryEventLog
from tests.support.stores import sqlite_store

CARD = "4111111111111111"
SECRET = {"type": "object", "properties": {"card": {"type": "string", "x-secret": True}}}
PLAIN = {"type": "object", "properties": {"card": {"type": "string"}}}


def task(schema: dict[str, Any], version: int = 1, job_type: str = "pay.charge") -> TaskDefinition:
    return TaskDefinition(job_type, version, "default", "", schema, 60.0, 5, {"base_seconds": 2.0, "cap_seconds": 300.0}, 4, None, "tests")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(tmp_path) as store:
        yield store


class Machine:
    """One that started with these tasks; `asked` counts how often it asked the store for secrets since."""

    def __init__(self, store: SqliteJobStore, catalogue: Catalogue, earlier: Mapping[str, Sequence[Any]], again_seconds: float) -> None:
        self._store, self.asked = store, 0
        self.redactor = Redactor(catalogue, earlier, self._look_up, again_seconds)

    async def _look_up(self) -> Mapping[str, Sequence[Any]]:
        self.asked += 1
        return await self._store.remember_secrets({})


async def started(store: SqliteJobStore, *tasks: TaskDefinition, again_seconds: float = 600.0) -> Machine:
    catalogue = Catalogue(tasks)
    return Machine(store, catalogue, await store.remember_secrets(secret_schemas(catalogue)), again_seconds)


def text_of(shown: Any) -> str:
    return json.dumps([item.document if isinstance(item, Event) else item for item in shown])


@pytest.mark.parametrize("old", [(), (task(PLAIN),)], ids=["a new type", "a new version"])
async def test_nothing_leaves_through_a_machine_that_started_before(store: SqliteJobStore, old: tuple[TaskDefinition, ...]) -> None:
    first = await started(store, *old)
    await started(store, task(SECRET, 2))
    (job,) = await submitted(store, request("pay.charge", payload={"card": CARD}, task_version=2))
    assert CARD in text_of(await store.feed(0, 10))
    assert CARD not in text_of(await first.redactor.events(await store.feed(0, 10)))
    assert CARD not in text_of(await first.redactor.jobs([await store.job(job)]))
    fresh = await started(store, *old)
    assert CARD not in text_of(await fresh.redactor.jobs([await store.job(job)]))


async def test_neither_by_stream_archive_and_screens(store: SqliteJobStore) -> None:
    machines = [await started(store) for _ in range(4)]
    await started(store, task(SECRET))
    (job,) = await submitted(store, request("pay.charge", payload={"card": CARD}))
    hub = Hub(store, machines[0].redactor.events, heartbeat_seconds=0.05)
    watcher, text = hub.watch(0), b""
    async with asyncio.timeout(10):
        while b"job.queued" not in text:
            text += await anext(watcher)
    await watcher.aclose()
    await hub.close()
    assert b"job.accepted" in text and CARD.encode() not in text

    archive = MemoryEventLog()
    await MetricsEngine(store, SqliteStatsStore(store.database), archive, machines[1].redactor.events).catch_up()
    assert len(archive.kept) == await store.head() and CARD not in text_of(archive.kept.values())

    model = ReadModel(store, SqliteStatsStore(store.database), FeedEventLog(store), Catalogue(), redactor=machines[2].redactor)
    assert CARD not in json.dumps(await model.events((), None, 10, None)) + json.dumps(await model.job(job))

    await store.open_search(machines[3].redactor.searched(asyncio.get_running_loop()), "1")
    assert (await store.jobs(parse(CARD), 10, None)).items == (await store.jobs(parse(f"payload.card:{CARD}"), 10, None)).items == []
    assert len((await store.jobs(parse("type:pay.charge"), 10, None)).items) == 1


async def test_a_schedule_s_template_is_asked_for_each_time_as_it_names_no_version(store: SqliteJobStore) -> None:
    first = await started(store, task(PLAIN))
    spec = ScheduleSpec(template={"type": "pay.charge", "payload": {"card": CARD}}, every_seconds=60)
    schedule, _ = await store.put_schedule("monthly", spec, "anna")
    assert CARD in text_of(await first.redactor.schedules([schedule.as_json()]))  # no secret of anybody's
    await started(store, task(SECRET, 2))
    assert CARD not in text_of(await first.redactor.schedules([schedule.as_json()]))
    assert CARD not in text_of(await first.redactor.events(await store.feed(0, 10)))


async def test_what_is_known_is_not_asked_for(store: SqliteJobStore) -> None:
    first = await started(store, task(PLAIN), task(SECRET, job_type="pay.refund"))
    await submitted(store, *[request("pay.charge"), request("pay.refund", payload={"card": CARD})] * 5)
    for _ in range(3):
        await first.redactor.events(await store.feed(0, 100))
    assert first.asked == 0
    await submitted(store, *[request("pay.other")] * 5)
    for _ in range(3):
        await first.redactor.events(await store.feed(0, 100))
    assert first.asked == 1  # by all five, three times


async def test_a_field_that_becomes_secret_without_a_new_version_is_learnt_of_after_a_while(store: SqliteJobStore) -> None:
    first, indexing = await started(store, task(PLAIN), again_seconds=0.5), await started(store, task(PLAIN), again_seconds=0.5)
    shown = indexing.redactor.searched(asyncio.get_running_loop())
    await started(store, task(SECRET))
    (job,) = await submitted(store, request("pay.charge", payload={"card": CARD}))
    await asyncio.sleep(0.5)
    assert CARD not in text_of(await first.redactor.events(await store.feed(0, 10)))
    assert CARD not in text_of(await first.redactor.jobs([await store.job(job)]))
    assert CARD not in json.dumps(await asyncio.to_thread(shown, "pay.charge", {"card": CARD}))
    assert (first.asked, indexing.asked) == (1, 1)


async def test_while_the_store_cannot_say_nothing_goes_out(store: SqliteJobStore) -> None:
    async def away() -> Mapping[str, Sequence[Any]]:
        raise StoreUnavailable

    await submitted(store, request("pay.charge", payload={"card": CARD}))
    with pytest.raises(StoreUnavailable):
        await Redactor(Catalogue(), {}, away).events(await store.feed(0, 10))


@pytest.mark.servers
async def test_the_functions_of_a_machine_ask_where_there_may_be_others(tmp_path: Path, postgres_url: str) -> None:
    machines = []
    for number, tasks in enumerate(([], [task(SECRET).as_json()])):
        (tmp_path / f"{number}.json").write_text(json.dumps({"format": 1, "tasks": tasks}))
        parts = Parts(load({"OBSERVATORY_POSTGRES_URL": postgres_url, "OBSERVATORY_CATALOGUE": str(tmp_path / f"{number}.json"),
                            "OBSERVATORY_QUIET": "1"}))  # fmt: skip
        machines.append((parts, await parts.redactor()))
    (old, redactor), (new, _) = machines
    await submitted(await new.job_store(), request("pay.charge", payload={"card": CARD}))
    store = await old.job_store()
    async with asyncio.timeout(20):
        while not (events := [event for event in await store.feed(0, 100) if event.subject.startswith("job/")]):
            await asyncio.sleep(0.05)
    assert CARD in text_of(events) and CARD not in text_of(await redactor.events(events))
    for parts, _ in machines:
        await parts.close()
