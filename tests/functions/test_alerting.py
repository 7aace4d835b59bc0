"""What the thresholds are held against, measured over real stores, and raised by the scheduler's tick."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contracts.alerts import Finding, parse_rules
from contracts.event_types import ALERT_RAISED, ALERT_RESOLVED
from functions.metrics_engine.service import MetricsEngine
from functions.runtime import alerting
from functions.runtime.alerting import Watch
from functions.runtime.bells import SilentBell
from functions.scheduler.service import Scheduler
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.job_store import PUBLISH_CURSOR, DeadLetter, Refusal
from tests.support.stores import SteppedClock, claim, run_all, sqlite_store, submit

ERROR = {"type": "ValueError", "message": "no", "traceback": None}


class Plant:
    """Stores over a clock that the test moves, and all that judges over them."""

    def __init__(self, store: SqliteJobStore, clock: SteppedClock, settings: str = "") -> None:
        self.store, self.clock = store, clock
        stats = SqliteStatsStore(store.database)
        self.engine = MetricsEngine(store, stats)
        self.watch = Watch(store, stats, parse_rules(settings))
        self.scheduler = Scheduler(store, SilentBell(), watch=self.watch)

    async def found(self) -> dict[str, Finding]:
        """By id, once all readers are at the head of the feed."""
        await self.read_on()
        return {finding.id: finding for finding in await self.watch.found()}

    async def read_on(self) -> None:
        await self.engine.catch_up()
        await self.store.advance(PUBLISH_CURSOR, await self.store.head())

    async def tell(self) -> list[tuple[str, str]]:
        """Event types and alert ids of what a tick tells now."""
        before = await self.store.head()
        self.watch._looked = None  # however soon after the last one
        await self.scheduler.tick()
        return [(event.type, event.data["id"]) for event in await self.store.feed(before, 100) if event.type in (ALERT_RAISED, ALERT_RESOLVED)]


@pytest.fixture
async def plant(quick_folder: Path) -> AsyncIterator[Plant]:
    clock = SteppedClock()
    async with sqlite_store(quick_folder, clock=clock) as store:
        yield Plant(store, clock)


def letter(number: int, at: int) -> DeadLetter:
    return DeadLetter(f"letter-{number}", "metrics-engine", "/test", f"id-{number}", None, "no", 1, "application/json", b"{}", {}, at)


async def test_a_quiet_system_has_nothing_to_tell(plant: Plant) -> None:
    await submit(plant.store, 3)
    await run_all(plant.store)
    assert await plant.found() == {}
    assert await plant.tell() == []


async def test_failures_are_a_part_of_what_ended_and_few_do_not_count(plant: Plant) -> None:
    await submit(plant.store, 4, "demo.fail", max_attempts=1)
    await run_all(plant.store, outcome="failed", error=ERROR)
    assert await plant.found() == {}
    await submit(plant.store, 1, "demo.fail", max_attempts=1)
    await run_all(plant.store, outcome="failed", error=ERROR)
    await submit(plant.store, 15, "demo.fail")
    await run_all(plant.store)
    found = (await plant.found())["failure-rate/demo.fail"]
    assert (found.value, found.summary) == (0.25, "5 of 20 jobs of type demo.fail that ended in the last 5 minutes failed.")
    plant.clock.advance(6 * 60)
    assert await plant.found() == {}


async def test_a_queue_without_a_worker_and_one_that_is_slow_are_told_apart(plant: Plant) -> None:
    await submit(plant.store, 2)
    plant.clock.advance(25)
    found = await plant.found()
    assert found["no-worker/default"].value == 25.0
    assert found["no-worker/default"].summary == "No worker has taken a job of queue default for 25 s, and 2 are queued."
    await claim(plant.store)
    plant.clock.advance(50)
    found = await plant.found()
    assert set(found) == {"queue-age/default"} and found["queue-age/default"].value == 75.0
    await plant.store.set_paused("default", True, "anna", None)
    assert await plant.found() == {}  # nobody is to take them


async def test_a_queue_with_a_slow_rate_may_rest(plant: Plant) -> None:
    await plant.store.declare_queues([("slow", None, 0.01, False)])
    await submit(plant.store, 2, queue="slow")
    plant.clock.advance(150)
    assert await plant.found() == {}
    plant.clock.advance(100)
    assert set(await plant.found()) == {"no-worker/slow"}


async def test_jobs_that_run_and_never_end_are_no_progress(plant: Plant) -> None:
    await submit(plant.store, 2)
    await claim(plant.store)
    plant.clock.advance(9 * 60)
    assert "no-progress/default" not in await plant.found()
    plant.clock.advance(3 * 60)
    found = (await plant.found())["no-progress/default"]
    assert found.value >= 600 and "nothing has begun or ended" in found.summary


async def test_dead_letters_count_while_nobody_settled_them(plant: Plant) -> None:
    now = plant.clock()
    for number in range(3):
        await plant.store.keep_dead_letter(letter(number, now))
    found = await plant.found()
    assert {name: finding.value for name, finding in found.items()} == {"dead-letters/kept": 3, "dead-letters-growing/kept": 3}
    plant.clock.advance(301)
    assert set(await plant.found()) == {"dead-letters/kept"}
    told = {"trigger": "metrics-engine", "event_source": None, "event_id": None, "event_type": None, "reason": "x"}
    for number in range(3):
        await plant.store.tell_of_dead_letter(f"letter-{number}", "discarded", {"id": f"letter-{number}", **told}, "anna")
    assert await plant.found() == {}


async def test_refusals_are_counted_by_type(plant: Plant) -> None:
    await plant.store.record_refusals([Refusal("demo.noop", "contract-violation", "no")] * 60)
    plant.clock.advance(61)
    await plant.store.tick()
    assert (await plant.found())["refusals/demo.noop"].value == 60


async def test_a_reader_is_late_by_the_age_of_its_next_event(plant: Plant) -> None:
    await submit(plant.store, 1)
    await plant.store.advance(PUBLISH_CURSOR, 1)
    plant.clock.advance(40)
    await submit(plant.store, 1)
    found = {finding.id: finding.value for finding in await plant.watch.found() if finding.rule == "feed-lag"}
    assert found == {"feed-lag/statistics": 40.0, "feed-lag/relay": 40.0}


async def test_the_tick_raises_what_lasts_and_resolves_what_is_calm(plant: Plant) -> None:
    await submit(plant.store, 1)
    plant.clock.advance(21)
    await plant.read_on()
    assert await plant.tell() == []
    plant.clock.advance(10)
    assert await plant.tell() == [(ALERT_RAISED, "no-worker/default")]
    await run_all(plant.store)
    await plant.read_on()
    assert await plant.tell() == []
    plant.clock.advance(60)
    assert await plant.tell() == [(ALERT_RESOLVED, "no-worker/default")]


async def test_a_tick_says_when_to_look_again(plant: Plant) -> None:
    await submit(plant.store, 1)
    plant.clock.advance(21)
    await plant.read_on()
    tick = await plant.scheduler.tick()
    assert tick.next_due_at == plant.clock() + 10_000_000
    assert (await plant.scheduler.tick()).next_due_at is not None  # too soon after the last: it does not look, and comes again


async def test_many_ticks_measure_seldom(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    real = alerting.findings
    monkeypatch.setattr(alerting, "findings", lambda situation: looks.append(situation) or real(situation))
    for _ in range(20):
        await plant.scheduler.tick()
    assert len(looks) == 1
