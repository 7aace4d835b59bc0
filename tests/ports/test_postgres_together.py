"""Several processes on one PostgreSQL, each a store of its own: what they decide together holds, and no reader skips."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

from contracts.errors import ObservatoryError, StoreUnavailable
from contracts.event import Event
from contracts.event_types import ALERT_RAISED, ALERT_RESOLVED, SCHEDULE_CREATED, SCHEDULE_FIRED
from contracts.job import Job
from contracts.schedule import ScheduleSpec
from contracts.times import from_rfc3339
from contracts.validation import validate_event
from functions.metrics_engine.service import MetricsEngine
from functions.runtime.timer import Timer
from functions.stores.backends.postgres_callers_transaction import submit_within
from functions.stores.backends.postgres_database import PostgresDatabase, Seconds
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.backends.postgres_stats_store import PostgresStatsStore
from functions.stores.job_store import PUBLISH_CURSOR, JobStore, Submitted, Tick
from functions.stores.retention import Retention
from tests.ports.job_store.alerts import RULES, judging
from tests.ports.job_store.random_life import RandomLives
from tests.ports.job_store.schedules import resolve
from tests.ports.job_store.soundness import assert_sound
from tests.ports.job_store.steps import all_taken, claimed, ended, ending, one, request, running, submitted, told, whole_feed
from tests.support.checker import check
from tests.support.stores import SteppedClock

pytestmark = pytest.mark.servers

QUEUES = [("default", None, None, False), ("narrow", 3, None, False), ("slow", None, 4.0, False)]
Open = Callable[..., Any]


@pytest.fixture
async def opened(postgres_url: str) -> AsyncIterator[Open]:
    """Opens one more store on the test's database, as another process would."""
    stores: list[PostgresJobStore] = []

    async def another(**seconds: float) -> PostgresJobStore:
        database = PostgresDatabase(postgres_url, seconds=Seconds(**seconds))
        stores.append(PostgresJobStore(database, check=validate_event, migrate=False))
        await stores[-1].open()
        return stores[-1]

    yield another
    for store in stores:
        await store.close()
    assert check(postgres_url) == []


@pytest.fixture
async def pair(opened: Open) -> tuple[JobStore, JobStore]:
    first, second = await opened(), await opened()
    await first.declare_queues(QUEUES)
    await until(lambda: first._audience._told == second._audience._told == len(QUEUES))
    return first, second


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


# ---- the feed ---------------------------------------------------------------------------------------------------


async def positions(store: JobStore) -> dict[str, list[int]]:
    """Stream -> the positions of its events."""
    found: dict[str, list[int]] = {}
    for event in await whole_feed(store):
        found.setdefault((event.subject or "").removeprefix("job/"), []).append(event.position)
    return found


async def submit(connection: psycopg.AsyncConnection[Any], **options: Any) -> str:
    (answer,) = await submit_within(connection, [request(**options)], validate_event)
    assert isinstance(answer, Submitted)
    return answer.id


async def test_two_transactions_committed_in_reverse_order_are_both_read(opened: Open, postgres_url: str) -> None:
    store = await opened()
    async with await psycopg.AsyncConnection.connect(postgres_url) as a, await psycopg.AsyncConnection.connect(postgres_url) as b:
        first, second = await submit(a), await submit(b)
        await b.commit()
        await store.placing.place_all()
        seen = await store.feed(0, 100)
        assert [event.subject for event in seen] == [f"job/{second}"] * 2
        await a.commit()
        await store.placing.place_all()
        seen += await store.feed(seen[-1].position, 100)
    assert [(event.subject, event.position) for event in seen] == [
        (f"job/{second}", 1), (f"job/{second}", 2), (f"job/{first}", 3), (f"job/{first}", 4),
    ]  # fmt: skip


@pytest.mark.parametrize("older_first", [True, False])
async def test_the_numbers_of_transactions_say_nothing_of_their_place(opened: Open, postgres_url: str, older_first: bool) -> None:
    """The transaction that began first draws its commit number last, and is committed first, or last."""
    store = await opened()
    async with await psycopg.AsyncConnection.connect(postgres_url) as older, await psycopg.AsyncConnection.connect(postgres_url) as younger:
        xids = [(await (await connection.execute("SELECT pg_current_xact_id()::text::bigint")).fetchone())[0] for connection in (older, younger)]  # type: ignore[index]
        assert xids[0] < xids[1]
        of_younger, of_older = await submit(younger), await submit(older)
        for connection in (older, younger) if older_first else (younger, older):
            await connection.commit()
            await store.placing.place_all()
    order = [of_older, of_younger] if older_first else [of_younger, of_older]
    assert await positions(store) == {order[0]: [1, 2], order[1]: [3, 4]}


async def test_a_transaction_left_open_delays_nobody_and_loses_nothing(pair: tuple[JobStore, JobStore], postgres_url: str) -> None:
    writer, reader = pair
    async with await psycopg.AsyncConnection.connect(postgres_url) as slow:
        late = await submit(slow)
        begun = time.monotonic()
        ids = [await one(writer) for _ in range(20)]
        for job in await claimed(writer, 20):
            await ended(writer, job)
        assert time.monotonic() - begun < 15  # each would wait in vain for the one that is open
        seen = await whole_feed(reader)
        assert {event.subject for event in seen} >= {f"job/{job_id}" for job_id in ids}
        assert [event.position for event in seen] == list(range(1, await reader.head() + 1))
        await slow.commit()
    assert (await writer.tick()).more is False
    assert await told(reader, late) == ["accepted", "queued"]
    assert [event.subject for event in await reader.feed(seen[-1].position, 10)] == [f"job/{late}"] * 2


async def test_a_commit_that_cannot_be_placed_is_answered_and_placed_later(pair: tuple[JobStore, JobStore], postgres_url: str) -> None:
    writer, _ = pair
    heard: list[Event] = []
    writer.on_committed(heard.extend)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other:
        await other.execute("SELECT pg_advisory_lock(7041958, 1)")
        before = await writer.head()
        begun = time.monotonic()
        job_id = await one(writer)
        assert time.monotonic() - begun < 5
        assert await writer.head() == before and heard == []
        assert await told(writer, job_id) == ["accepted", "queued"]  # who asks for the job itself need not wait
        assert sum((await writer.counts()).values()) == 1
        await other.execute("SELECT pg_advisory_unlock(7041958, 1)")
    await until(lambda: len(heard) == 2)
    assert [event.position for event in heard] == [before + 1, before + 2]


async def test_everybody_hears_what_anybody_commits_in_order(pair: tuple[JobStore, JobStore]) -> None:
    heard: tuple[list[Event], list[Event]] = ([], [])
    for store, told_to in zip(pair, heard, strict=True):
        store.on_committed(told_to.extend)
    before = await pair[0].head()
    await asyncio.gather(*(one(random.choice(pair)) for _ in range(60)))
    head = before + 120
    await until(lambda: all(told_to and told_to[-1].position == head for told_to in heard))
    for told_to in heard:
        assert [event.position for event in told_to] == list(range(before + 1, head + 1))
        assert told_to == (await whole_feed(pair[0]))[before:]


async def test_each_hears_of_its_own_commits_once_whoever_places_them(pair: tuple[JobStore, JobStore]) -> None:
    """So that a job's line is printed by one process."""
    own: tuple[list[Event], list[Event]] = ([], [])
    for store, told_to in zip(pair, own, strict=True):
        store.on_own_committed(told_to.extend)
    before = await pair[0].head()
    mine = [[await one(store) for _ in range(5)] for store in pair]
    both = await asyncio.gather(*(one(random.choice(pair)) for _ in range(60)))
    await until(lambda: sum(map(len, own)) >= 140)
    assert sorted(event.position or 0 for told_to in own for event in told_to) == list(range(before + 1, before + 141))
    for told_to, jobs in zip(own, mine, strict=True):
        assert {event.subject for event in told_to} >= {f"job/{job}" for job in jobs}
    assert {event.subject for told_to in own for event in told_to} >= {f"job/{job}" for job in both}


async def test_nobody_reads_for_listeners_who_want_nothing_and_they_can_begin_at_any_time(pair: tuple[JobStore, JobStore]) -> None:
    writer, reader = pair
    assert isinstance(reader, PostgresJobStore)
    heard: list[Event] = []
    wanted = False
    reader.on_committed(heard.extend, lambda: wanted)
    await one(writer)
    head = await writer.head()
    await until(lambda: reader._audience._told >= head)
    assert heard == []
    wanted = True
    await one(writer)
    await until(lambda: len(heard) == 2)
    assert [event.position for event in heard] == [head + 1, head + 2]


async def test_a_listener_whose_connection_was_cut_misses_nothing(pair: tuple[JobStore, JobStore], postgres_url: str) -> None:
    writer, reader = pair
    heard: list[Event] = []
    reader.on_committed(heard.extend)
    await one(writer)
    await until(lambda: len(heard) >= 2)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other:
        found = await (await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LISTEN%' AND pid <> pg_backend_pid()"
                                           " OR query LIKE 'SELECT position FROM observatory.head%'")).fetchall()  # fmt: skip
        assert found
    for _ in range(5):
        await one(writer)
    head = await writer.head()
    await until(lambda: heard[-1].position == head)
    assert [event.position for event in heard] == list(range(heard[0].position, head + 1))


# ---- deciding together ------------------------------------------------------------------------------------------


async def test_fifty_equal_submissions_through_two_processes_are_one_job(pair: tuple[JobStore, JobStore]) -> None:
    for turn in range(5):
        wish = request(keys=(f"key:{turn}",), fingerprint=b"same")
        answers = [answer for found in await asyncio.gather(*(store.submit([wish]) for store in pair for _ in range(25))) for answer in found]
        assert len({answer.id for answer in answers if isinstance(answer, Submitted)}) == 1, answers
        assert sum(isinstance(answer, Submitted) and answer.created for answer in answers) == 1


async def test_a_unique_key_taken_by_two_processes_at_once_has_one_holder(pair: tuple[JobStore, JobStore]) -> None:
    for turn in range(8):
        answers = [found[0] for found in await asyncio.gather(*(store.submit([request(unique_key=f"only-{turn}")]) for store in pair for _ in range(4)))]
        assert len({answer.id for answer in answers if isinstance(answer, Submitted)}) == 1, answers
        assert sum(isinstance(answer, Submitted) and answer.created for answer in answers) == 1


async def test_no_job_is_claimed_by_two_processes_and_none_is_left(pair: tuple[JobStore, JobStore]) -> None:
    ids = await submitted(pair[0], *[request(priority=number % 10) for number in range(60)])
    taken: list[Job] = []
    while found := [job for jobs in await asyncio.gather(*(claimed(store, 4, worker=f"worker {n}") for n, store in enumerate(pair * 2))) for job in jobs]:
        taken += found
    assert sorted(job.id for job in taken) == sorted(ids)
    priorities = [job.priority for job in taken]
    assert all(earlier >= later - 1 for earlier, later in zip(priorities, priorities[16:], strict=False)), "the best come first"


async def test_a_limit_holds_across_processes(pair: tuple[JobStore, JobStore]) -> None:
    await submitted(pair[0], *[request(queue="narrow") for _ in range(12)])
    running_now: list[Job] = []
    for _ in range(6):
        claims = await asyncio.gather(*(claimed(store, 2, "narrow") for store in pair * 2))
        running_now += [job for jobs in claims for job in jobs]
        assert len(running_now) == 3 or not await depth(pair[0], "narrow")
        if running_now:
            await ended(random.choice(pair), running_now.pop())
    assert (await pair[1].counts()).get(("narrow", "demo.noop", "running"), 0) <= 3


async def depth(store: JobStore, queue: str) -> int:
    return next(state.depth for state in await store.queues() if state.name == queue)


async def test_a_rate_holds_across_processes(pair: tuple[JobStore, JobStore]) -> None:
    await submitted(pair[0], *[request(queue="slow") for _ in range(60)])
    begun, started = time.monotonic(), 0
    while time.monotonic() - begun < 1.0:
        started += sum(map(len, await asyncio.gather(*(claimed(store, 10, "slow") for store in pair))))
    assert started <= 4 + 4 * (time.monotonic() - begun) + 1


async def test_parents_that_end_in_two_processes_at_once_release_their_child_once(pair: tuple[JobStore, JobStore]) -> None:
    for _ in range(10):
        parents = await submitted(pair[0], *[request() for _ in range(4)])
        child = await one(pair[1], depends_on=parents)
        jobs = await claimed(pair[0], 4)
        await asyncio.gather(*(ended(pair[number % 2], job) for number, job in enumerate(jobs)))
        assert await told(pair[0], child) == ["accepted", "queued"]
        await ended(pair[1], (await claimed(pair[1]))[0])


async def test_a_child_that_comes_while_its_parent_ends_is_neither_forgotten_nor_released_twice(pair: tuple[JobStore, JobStore]) -> None:
    for _ in range(15):
        parent = await running(pair[0])
        child, _ = await asyncio.gather(one(pair[1], depends_on=[parent.id]), ended(pair[0], parent))
        assert (await pair[0].job(child)).status == "queued"
        await ended(pair[1], (await claimed(pair[1]))[0])


@pytest.mark.parametrize("known_by", ["key", "unique_key"])
async def test_a_child_of_an_item_that_is_known_already_sees_its_end(pair: tuple[JobStore, JobStore], known_by: str) -> None:
    children = []
    for turn in range(60):
        wish = request(keys=(f"key:{turn}",), fingerprint=b"x") if known_by == "key" else request(unique_key=f"only-{turn}")
        (parent,) = await submitted(pair[0], wish)
        (job,) = await claimed(pair[0])
        assert job.id == parent

        async def end(job: Job = job) -> None:
            await asyncio.sleep(random.random() * 0.006)
            await ended(pair[0], job)

        answers, _ = await asyncio.gather(pair[1].submit([wish, request(depends_on=["#0"])]), end())
        first, child = all_taken(answers)
        if first.created:  # the unique key was free again
            (job,) = await claimed(pair[0])
            assert job.id == first.id
            await ended(pair[0], job)
        children.append(child.id)
        (job,) = await claimed(pair[0])
        assert job.id == child.id
        await ended(pair[0], job)
    assert set((await pair[0].statuses(children)).values()) == {"succeeded"}


@pytest.mark.parametrize("known_by", ["key", "unique_key"])
async def test_a_known_parent_does_not_end_before_its_child_is_there(opened: Open, postgres_url: str, known_by: str) -> None:
    store = await opened(lock=0.3)
    await store.declare_queues(QUEUES)
    wish = request(keys=("key:a",), fingerprint=b"x") if known_by == "key" else request(unique_key="only")
    parent = (await submitted(store, wish))[0]
    (job,) = await claimed(store)
    async with await psycopg.AsyncConnection.connect(postgres_url) as callers:
        known, child = all_taken(await submit_within(callers, [wish, request(depends_on=["#0"])], validate_event))
        assert (known.id, known.created) == (parent, False)
        with pytest.raises(StoreUnavailable):
            await ended(store, job)
        await callers.commit()
    await ended(store, job)
    assert await told(store, child.id) == ["accepted", "queued"]


async def test_a_key_whose_job_is_dropped_while_it_is_asked_for_makes_no_second_job(pair: tuple[JobStore, JobStore], postgres_url: str) -> None:
    """The submission waits for a parent, after it asked for its keys; retention comes meanwhile."""
    first, second = pair
    wish = request(keys=("key:a",), fingerprint=b"x")
    (known,) = await submitted(first, wish)
    await ended(first, (await claimed(first))[0])
    parent = await one(first)
    await MetricsEngine(first, PostgresStatsStore(first)).catch_up()
    await first.advance(PUBLISH_CURSOR, await first.head())
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        await other.execute("SELECT 1 FROM observatory.jobs WHERE id = %s FOR UPDATE", (parent,))
        asked = asyncio.ensure_future(second.submit([wish, request(depends_on=[parent])]))
        await asyncio.sleep(0.3)
        assert (await first.prune(Retention({"succeeded": 0.0}))).jobs == 1
        await other.rollback()
        again, _ = all_taken(await asked)
    assert (again.id, again.status, again.created) == (known, "succeeded", False)


async def test_ticks_of_two_processes_do_everything_once(pair: tuple[JobStore, JobStore]) -> None:
    ids = await submitted(pair[0], *[request(run_at=pair[0].now() + 50_000) for _ in range(30)])
    await asyncio.sleep(0.06)
    ticks = await asyncio.gather(*(store.tick(limit=20) for store in pair * 3))
    assert sum(tick.released for tick in ticks) == 30
    assert all([await told(pair[1], job_id) == ["accepted", "scheduled", "queued"] for job_id in ids])


@pytest.fixture
async def stepped(postgres_url: str) -> AsyncIterator[tuple[SteppedClock, list[PostgresJobStore]]]:
    """Two stores on a clock that stands still."""
    clock = SteppedClock()
    stores = [PostgresJobStore.at(postgres_url, check=validate_event, clock=clock, migrate=False) for _ in range(2)]
    for store in stores:
        await store.open()
    await stores[0].declare_queues(QUEUES)
    yield clock, stores
    for store in stores:
        await store.close()
    assert check(postgres_url) == []


async def test_a_schedule_that_two_processes_see_due_is_fired_and_told_of_once(stepped: tuple[SteppedClock, list[PostgresJobStore]]) -> None:
    clock, stores = stepped
    await stores[0].put_schedule("often", ScheduleSpec(template={"type": "demo.noop", "payload": {}}, every_seconds=10, overlap="queue"), "anna")
    for _ in range(12):
        clock.advance(10)
        ticks = await asyncio.gather(*(store.tick(resolve=resolve) for store in stores))
        assert [(sum(tick.fired for tick in ticks), sum(tick.skipped for tick in ticks))] == [(1, 0)]
    assert [event.type for event in await stores[1].events_of("schedule/often")] == [SCHEDULE_CREATED] + [SCHEDULE_FIRED] * 12


async def test_an_alert_that_two_processes_judge_is_told_of_once(stepped: tuple[SteppedClock, list[PostgresJobStore]]) -> None:
    clock, stores = stepped
    for _ in range(12):
        for judge in (judging(0.2), judging(), judging()):
            await asyncio.gather(*(store.judge_alerts(judge) for store in stores))
            clock.advance(RULES.calm_seconds)
    stream = await stores[0].events_of("alert/failure-rate/demo.fail-0")
    assert [event.type for event in stream] == [ALERT_RAISED, ALERT_RESOLVED] * 12


# ---- collisions, locks and faults -------------------------------------------------------------------------------


async def test_a_row_that_somebody_holds_delays_its_own_command_alone(opened: Open, postgres_url: str) -> None:
    store = await opened(lock=0.3)
    await store.declare_queues(QUEUES)
    held, free = await submitted(store, request(), request())
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        await other.execute("SELECT 1 FROM observatory.jobs WHERE id = %s FOR UPDATE", (held,))
        answers = await asyncio.gather(store.cancel([held], "anna", None), store.cancel([free], "anna", None), one(store), return_exceptions=True)
        assert isinstance(answers[0], StoreUnavailable)
        assert [isinstance(answer, BaseException) for answer in answers] == [True, False, False]
        assert await claimed(store, 5, worker="w") != []  # a claim passes over what is held
    assert (await store.cancel([held], "anna", None))[0].status == "cancelled"  # type: ignore[union-attr]


async def test_a_caller_s_open_transaction_on_a_parent_holds_up_its_end_alone(opened: Open, postgres_url: str) -> None:
    """Its lease, its progress and its steps go on, and so does its release when it is due; without them all of its process' jobs
    would be taken for lost."""
    store, scheduler = await opened(lock=0.3), await opened(lock=0.3)
    await store.declare_queues(QUEUES)
    later = await one(store, run_at=store.now() + 300_000)
    await submitted(store, *[request() for _ in range(3)])
    jobs = await claimed(store, 3, seconds=1)
    async with await psycopg.AsyncConnection.connect(postgres_url) as callers:
        child = await submit(callers, depends_on=[jobs[0].id, later])
        renewed = await store.renew([(job.id, job.lease_token) for job in jobs], 60)
        assert [lease.state for lease in renewed] == ["held"] * 3
        await store.progress(jobs[0].id, jobs[0].lease_token, {"fraction": 0.5, "message": None})
        assert await store.effect(jobs[0].id, jobs[0].lease_token, "paid", 1) == 1
        await asyncio.sleep(1.1)
        tick = await scheduler.tick()
        assert (tick.rescued, tick.released) == (0, 1)
        with pytest.raises(StoreUnavailable):  # its end is what the child must not miss
            await ended(store, jobs[0])
        await callers.commit()
    for job in jobs:
        assert await ended(store, job) == "succeeded"
    await ended(store, (await claimed(store))[0])
    assert await told(store, child) == ["accepted", "queued"]


async def test_what_is_done_together_with_a_held_row_is_done_without_it(opened: Open, postgres_url: str) -> None:
    """Outcomes, leases and wishes of one command; what comes after it does not wait for the lock again and again."""
    store = await opened(lock=4.0)
    await store.declare_queues(QUEUES)
    await submitted(store, *[request() for _ in range(4)])
    held, *others = jobs = await claimed(store, 4)
    leases = [(job.id, job.lease_token) for job in jobs]
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        await other.execute("SELECT 1 FROM observatory.jobs WHERE id = %s FOR UPDATE", (held.id,))
        renewed = await store.renew(leases, 60)
        assert sorted(lease.job_id for lease in renewed) == sorted(job.id for job in others)
        ending_all = asyncio.ensure_future(store.end_attempts([ending(job) for job in jobs]))
        await asyncio.sleep(0.05)
        begun = time.monotonic()
        await one(store)
        assert time.monotonic() - begun < 3.5  # of the 4 s that a lock is waited for
        answers = await ending_all
        assert [type(answer) for answer in answers] == [StoreUnavailable, str, str, str]
        assert {(await store.job(job.id)).status for job in others} == {"succeeded"}
        again = asyncio.ensure_future(store.end_attempts([ending(held)]))
        await asyncio.sleep(0.5)
        await other.rollback()
        assert await asyncio.wait_for(again, 5) == ["succeeded"]


async def test_a_due_job_that_somebody_holds_is_asked_for_again_after_a_pause(opened: Open, postgres_url: str) -> None:
    """The clock does not spin meanwhile, and what falls due then is not late."""
    store = await opened()
    await store.declare_queues(QUEUES)
    due = store.now() + 1_500_000
    held, free = await submitted(store, request(run_at=due - 1_300_000), request(run_at=due))
    ticks: list[Tick] = []

    async def tick() -> Tick:
        ticks.append(await store.tick())
        return ticks[-1]

    timer = Timer(tick, store.now, 20.0)
    store.on_committed(timer.committed)
    timer.start((await store.tick()).next_due_at)
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        await other.execute("SELECT 1 FROM observatory.jobs WHERE id = %s FOR UPDATE", (held,))
        await asyncio.sleep(2.0)
        assert await store.statuses([held, free]) == {held: "scheduled", free: "queued"}
        released = (await store.events_of(f"job/{free}"))[-1].document["time"]
        assert from_rfc3339(released) - due < 500_000
        assert ticks[-1].held_up and len(ticks) < 20
        await other.rollback()
    async with asyncio.timeout(5):
        while (await store.job(held)).status != "queued":
            await asyncio.sleep(0.02)
    await timer.stop()


async def test_a_lost_job_whose_child_somebody_holds_delays_no_other(opened: Open, postgres_url: str) -> None:
    store = await opened(lock=0.3)
    await store.declare_queues(QUEUES)
    held, other = await submitted(store, request(), request())
    await claimed(store, 2, seconds=0.1)
    child, grandchild, due = await submitted(store, request(depends_on=[held]), request(depends_on=[other]), request(run_at=store.now() + 50_000))
    expired = await one(store, depends_on=[held], expires_at=store.now() + 50_000)
    async with await psycopg.AsyncConnection.connect(postgres_url) as callers:
        await submit(callers, depends_on=[child])
        await asyncio.sleep(0.2)
        tick = await store.tick()
        assert (tick.rescued, tick.released, tick.expired, tick.held_up) == (1, 1, 1, True)
        states = {held: "running", other: "retrying", child: "waiting", grandchild: "waiting", due: "queued", expired: "cancelled"}
        assert await store.statuses(list(states)) == states
        await callers.rollback()
    tick = await store.tick()
    assert (tick.rescued, tick.held_up) == (1, False)


async def test_transactions_that_wait_for_each_other_are_tried_again(pair: tuple[JobStore, JobStore]) -> None:
    """Children and parents cancelled crosswise, again and again: no answer is a fault of the store."""
    for _ in range(6):
        parents = await submitted(pair[0], *[request(run_at=pair[0].now() + 10**9) for _ in range(3)])
        children = await submitted(pair[1], *[request(depends_on=[parent]) for parent in parents])
        wishes = [store.cancel(ids, "anna", None) for store, ids in ((pair[0], [*parents, *children]), (pair[1], [*reversed(children), *reversed(parents)]))]
        answers = [answer for found in await asyncio.gather(*wishes) for answer in found]
        assert [answer for answer in answers if isinstance(answer, ObservatoryError) and answer.status >= 500] == []


async def test_a_store_whose_connections_are_cut_goes_on_by_itself(pair: tuple[JobStore, JobStore], postgres_url: str) -> None:
    store, stopped = pair[0], asyncio.Event()
    outcomes: Counter[str] = Counter()

    async def cut() -> None:
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other:
            for _ in range(6):
                await asyncio.sleep(0.15)
                await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        stopped.set()

    async def work(number: int) -> None:
        while not stopped.is_set():
            try:
                await store.submit([request(keys=(f"key:{number}:{outcomes['taken']}",), fingerprint=b"x")])
                for job in await claimed(store, 3):
                    await store.end_attempts([ending(job)])
                outcomes["taken"] += 1
            except StoreUnavailable:
                outcomes["away"] += 1

    await asyncio.gather(cut(), *(work(number) for number in range(5)))
    assert outcomes["taken"] > 0
    assert await one(store)  # without anybody's help
    await store.tick()


class _Pair:
    """Each call goes to one of two stores, as requests do to replicas."""

    def __init__(self, stores: list[PostgresJobStore]) -> None:
        self._stores, self._dice = stores, random.Random(5)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dice.choice(self._stores), name)

    async def close(self) -> None:
        for store in self._stores:
            await store.close()


class PairLaboratory:
    def __init__(self, url: str) -> None:
        self._url = url
        self.clock = SteppedClock()

    async def open(self) -> JobStore:
        stores = [PostgresJobStore.at(self._url, check=validate_event, clock=self.clock, migrate=False) for _ in range(2)]
        for store in stores:
            await store.open()
        pair: Any = _Pair(stores)
        return pair

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)


class TestRandomLivesInTwoProcesses(RandomLives):
    @pytest.fixture
    def laboratory(self, postgres_url: str) -> PairLaboratory:
        return PairLaboratory(postgres_url)

    @pytest.fixture
    async def store(self, laboratory: PairLaboratory, postgres_url: str) -> AsyncIterator[JobStore]:
        store = await laboratory.open()
        yield store
        await assert_sound(store)
        await store.close()
        assert check(postgres_url) == []
