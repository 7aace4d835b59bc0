"""Retention of several processes on one PostgreSQL: each thing goes and is counted once, and whoever begins anew is waited for."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from contracts.statistics import fold, merge
from contracts.validation import validate_event
from functions.stores.backends import postgres_retention
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.backends.postgres_stats_store import PostgresStatsStore
from functions.stores.job_store import PUBLISH_CURSOR, STATISTICS_CURSOR, Refusal
from functions.stores.retention import DAY_MICROS, Pruned, Retention
from tests.ports.job_store.retention import ALL, present, prune
from tests.ports.job_store.steps import one, run, whole_feed
from tests.support.checker import check
from tests.support.stores import SteppedClock

pytestmark = pytest.mark.servers

Pair = tuple[PostgresJobStore, PostgresJobStore]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def pair(postgres_url: str, clock: SteppedClock) -> AsyncIterator[Pair]:
    stores = [PostgresJobStore.at(postgres_url, check=validate_event, clock=clock, migrate=False) for _ in range(2)]
    for store in stores:
        await store.open()
    await stores[0].declare_queues([("default", None, None, False)])
    yield stores[0], stores[1]
    for store in stores:
        await store.close()
    assert check(postgres_url) == []


@pytest.fixture
def gate(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Set once a drop is under way, and what it then waits for."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    drop_rows = postgres_retention._drop_rows

    async def slow(*given: Any) -> None:
        begun.set()
        await go_on.wait()
        await drop_rows(*given)

    monkeypatch.setattr(postgres_retention, "_drop_rows", slow)
    yield begun, go_on
    go_on.set()


async def read_on(store: PostgresJobStore) -> None:
    stats, head = PostgresStatsStore(store), await store.head()
    after = await stats.cursor()
    assert await stats.apply(fold(await store.feed(after, 10_000)), after, head)
    await store.advance(PUBLISH_CURSOR, head)


async def test_of_two_sweeps_at_once_one_drops(pair: Pair, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = pair
    await first.record_refusals([Refusal("demo.noop", "contract-violation", "no")] * 7)
    clock.advance(120)
    await first.tick()
    for _ in range(3):
        await one(first)
        await run(first)
    await one(first)
    await read_on(first)
    clock.advance(40 * 86_400)
    whole = fold(await whole_feed(first))
    plan, both = postgres_retention.plan, asyncio.Barrier(2)

    async def plan_together(*given: Any) -> Any:
        planned = await plan(*given)
        await both.wait()
        return planned

    monkeypatch.setattr(postgres_retention, "plan", plan_together)
    for keep in (Retention(others_micros=DAY_MICROS), ALL):
        done = await asyncio.gather(first.prune(keep), second.prune(keep))
        assert sorted(found.events for found in done) == ([0, 1] if keep is not ALL else [0, 12])
        checkpoint = await first.checkpoint()
        assert checkpoint is not None
        assert merge(checkpoint.sums, fold(await whole_feed(first))).as_json() == whole.as_json()


async def test_a_sweep_does_not_wait_for_another_one(pair: Pair, gate: tuple[asyncio.Event, asyncio.Event]) -> None:
    first, second = pair
    begun, go_on = gate
    await one(first)
    await run(first)
    await one(first)
    await read_on(first)
    dropping = asyncio.create_task(first.prune(ALL))
    await begun.wait()
    async with asyncio.timeout(5):
        assert await second.prune(ALL) == Pruned(more=True)
    go_on.set()
    assert (await dropping).jobs == 1


async def test_whoever_sets_a_cursor_back_waits_for_the_drop_that_is_under_way(pair: Pair, gate: tuple[asyncio.Event, asyncio.Event]) -> None:
    first, second = pair
    begun, go_on = gate
    await one(first)
    await run(first)
    kept = await one(first)
    await run(first)
    await one(first)
    await read_on(first)
    dropping = asyncio.create_task(first.prune(Retention({"succeeded": 0}, batch=1)))
    await begun.wait()
    setting_back = asyncio.create_task(second.set_back(STATISTICS_CURSOR, 0))
    await asyncio.sleep(0.2)
    assert not setting_back.done()
    go_on.set()
    await setting_back
    assert (await dropping).jobs == 1
    assert await second.dropped() > 0
    assert [(await first.prune(ALL)).jobs for _ in range(3)] == [0, 0, 0]
    assert await present(first, kept) == [True]
    await first.advance(STATISTICS_CURSOR, await first.head())
    assert await prune(first) == 1
