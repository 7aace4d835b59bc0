"""The processor over a real store: claims, hands over, commits, drains; the pool is played by the test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import Draining, StoreUnavailable
from contracts.event import Event
from contracts.job import Job
from eventing.queues import QueueDeclaration
from functions.processor.assignments import Assignment, Outcome
from functions.processor.pace import HeldBack
from functions.processor.service import Processor
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.moves import Ending
from tests.ports.job_store.steps import one, request, states, submitted
from tests.support.checker import check
from tests.support.stores import sqlite_store


class PlayedPool:
    """Keeps what it gets; `wants` jobs at once. The test says how they end."""

    def __init__(self, wants: int = 4) -> None:
        self.wants = wants
        self.holds_back = HeldBack()
        self.got: list[Assignment] = []
        self.dropped: list[str] = []
        self.cancelled: list[str] = []
        self.closed = False

    def submit(self, assignments: Sequence[Assignment]) -> None:
        if self.closed:
            raise Draining
        self.got.extend(assignments)

    def wanted(self) -> int:
        return 0 if self.closed else max(self.wants - len(self.got), 0)

    def held_back(self) -> HeldBack:
        return self.holds_back

    def held(self) -> list[tuple[str, int]]:
        return [assignment.key for assignment in self.got]

    def cancel(self, job_id: str, lease_token: int) -> None:
        self.cancelled.append(job_id)

    def drop(self, job_id: str, lease_token: int) -> None:
        self.dropped.append(job_id)
        self.got = [assignment for assignment in self.got if assignment.job_id != job_id]

    async def drain(self, grace_seconds: float) -> list[Assignment]:
        self.closed = True
        left, self.got = self.got, []
        return left

    async def stop(self) -> None:
        self.closed = True


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    async with sqlite_store(tmp_path) as opened:
        yield opened
    assert check(tmp_path / "observatory.db") == []


@pytest.fixture
def pool() -> PlayedPool:
    return PlayedPool()


@pytest.fixture
async def processor(store: SqliteJobStore, pool: PlayedPool) -> AsyncIterator[Processor]:
    started = make(store, pool)
    await started.start()
    yield started
    await started.drain()


def make(store: SqliteJobStore, pool: PlayedPool, **options: Any) -> Processor:
    queues = {name: QueueDeclaration(name, "", None, None, False) for name in ("default", "bulk")}
    return Processor(store, pool, queues=queues, instance="me", **({"renew_seconds": 0.02, "lease_seconds": 0.2} | options))


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.002)


def outcome(assignment: Assignment, kind: str = "succeeded", **parts: Any) -> Outcome:
    values = {"result": None, "error": None, "after_seconds": None, "started_at": 1, "ran_micros": 1_000, "output": None, "worker": "w"} | parts
    return Outcome(assignment.job_id, assignment.lease_token, kind, **values)


def end(processor: Processor, pool: PlayedPool, *outcomes: Outcome) -> None:
    ended = {each.job_id for each in outcomes}
    pool.got = [assignment for assignment in pool.got if assignment.job_id not in ended]
    processor.on_outcomes(outcomes)


async def ended(store: SqliteJobStore, *job_ids: str) -> list[str]:
    async with asyncio.timeout(30):
        while {"queued", "running"} & set(await states(store, *job_ids)):
            await asyncio.sleep(0.002)
    return await states(store, *job_ids)


async def test_a_ring_brings_the_queue_s_jobs_to_the_pool_and_their_outcomes_to_the_store(
    store: SqliteJobStore, pool: PlayedPool, processor: Processor
) -> None:
    ids = await submitted(store, *[request(payload={"n": n}) for n in range(10)])
    processor.ring("default")
    for _ in ids:
        await until(lambda: pool.got)
        end(processor, pool, outcome(pool.got[0], result={"ok": True}))
    assert await ended(store, *ids) == ["succeeded"] * 10


async def test_a_ring_for_an_empty_queue_is_success(store: SqliteJobStore, pool: PlayedPool, processor: Processor) -> None:
    processor.ring("default")
    processor.ring("bulk")
    await asyncio.sleep(0.01)
    assert pool.got == []


async def test_it_claims_no_more_than_the_pool_wants(store: SqliteJobStore, pool: PlayedPool, processor: Processor) -> None:
    await submitted(store, *[request() for _ in range(20)])
    processor.ring("default")
    await until(lambda: len(pool.got) == 4)
    await asyncio.sleep(0.01)
    assert (await store.counts())["default", "demo.noop", "running"] == 4


async def test_leases_are_renewed_while_a_handler_runs(store: SqliteJobStore, pool: PlayedPool, processor: Processor) -> None:
    job_id = await one(store)
    processor.ring("default")
    await until(lambda: pool.got)
    held_until = (await store.job(job_id)).lease_until or 0
    for _ in range(5):
        async with asyncio.timeout(10):
            while (later := (await store.job(job_id)).lease_until or 0) <= held_until:
                await asyncio.sleep(0.005)
        held_until = later
    end(processor, pool, outcome(pool.got[0]))
    assert await ended(store, job_id) == ["succeeded"]


async def test_a_lost_lease_takes_the_handler_down_and_its_outcome_changes_nothing(store: SqliteJobStore, pool: PlayedPool, processor: Processor) -> None:
    job_id = await one(store, backoff={"initial_seconds": 60.0, "factor": 1.0, "maximum_seconds": 60.0, "jitter": False})
    processor.ring("default")
    await until(lambda: pool.got)
    assignment = pool.got[0]
    await store.tick(rescue_all=True)
    await until(lambda: pool.dropped == [job_id])
    before = await store.job(job_id), await store.head()
    processor.on_outcomes([outcome(assignment, result="late")])
    await until(lambda: not processor.busy)
    assert before == (await store.job(job_id), await store.head())


async def test_a_cancel_reaches_the_pool_with_the_next_renewal(store: SqliteJobStore, pool: PlayedPool, processor: Processor) -> None:
    job_id = await one(store)
    processor.ring("default")
    await until(lambda: pool.got)
    await store.cancel([job_id], "anna", None)
    await until(lambda: job_id in pool.cancelled)
    end(processor, pool, outcome(pool.got[0], "cancelled"))
    assert await ended(store, job_id) == ["cancelled"]


async def test_an_outcome_that_cannot_be_stored_fails_its_own_job_and_no_other(store: SqliteJobStore, pool: PlayedPool, processor: Processor) -> None:
    ids = await submitted(store, *[request() for _ in range(3)])
    processor.ring("default")
    await until(lambda: len(pool.got) == 3)
    good, bad, other = pool.got
    end(processor, pool, outcome(good), outcome(bad, result={"text": "\ud800"}), outcome(other))
    assert await ended(store, *ids) == ["succeeded", "failed", "succeeded"]
    error = (await store.job(bad.job_id)).error or {}
    assert error["type"] == "OutcomeNotStored"
    assert "succeeded" in error["message"]


async def test_outcomes_wait_for_a_store_that_is_away(store: SqliteJobStore, pool: PlayedPool, processor: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = await one(store)
    processor.ring("default")
    await until(lambda: pool.got)
    calls = away_for(3, store, "end_attempts", monkeypatch)
    end(processor, pool, outcome(pool.got[0]))
    assert await ended(store, job_id) == ["succeeded"]
    assert len(calls) == 4


async def test_leases_are_renewed_while_outcomes_wait_for_the_store(store: SqliteJobStore, pool: PlayedPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler has ended, so the pool holds the job no more; rescued now, it would run a second time."""
    processor = make(store, pool, lease_seconds=2.0, renew_seconds=0.1)
    await processor.start()
    job_id = await one(store)
    processor.ring("default")
    await until(lambda: pool.got)
    calls = away_for(6, store, "end_attempts", monkeypatch)  # over three seconds
    end(processor, pool, outcome(pool.got[0]))
    rescued = 0
    while len(calls) < 7:
        assert pool.held() == []
        rescued += (await store.tick()).rescued
        await asyncio.sleep(0.05)
    assert await ended(store, job_id) == ["succeeded"]
    job = await store.job(job_id)
    assert (rescued, job.attempt, job.lease_token) == (0, 1, 1)
    await processor.drain()


async def test_an_outcome_that_a_lock_holds_up_comes_again_without_the_others(
    store: SqliteJobStore, pool: PlayedPool, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PostgreSQL answers while somebody's transaction holds one of the jobs."""
    ids = await submitted(store, *[request() for _ in range(3)])
    processor.ring("default")
    await until(lambda: len(pool.got) == 3)
    real, asked = store.end_attempts, []

    async def one_held(endings: Sequence[Ending]) -> list[Any]:
        asked.append([ending.job_id for ending in endings])
        free = [ending for ending in endings if len(asked) > 1 or ending.job_id != ids[1]]
        answers = dict(zip([ending.job_id for ending in free], await real(free), strict=True))
        return [answers.get(ending.job_id, StoreUnavailable("held")) for ending in endings]

    monkeypatch.setattr(store, "end_attempts", one_held)
    end(processor, pool, *map(outcome, pool.got))
    assert await ended(store, ids[0], ids[2]) == ["succeeded"] * 2
    await until(lambda: processor.busy == 1)
    assert await ended(store, *ids) == ["succeeded"] * 3
    await until(lambda: not processor.busy)
    assert [sorted(part) for part in asked] == [sorted(ids), [ids[1]]]


def away_for(times: int, store: SqliteJobStore, method: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Makes the next calls of a method fail; returns a list that grows with each call."""
    real, calls = getattr(store, method), []

    async def sometimes(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) <= times:
            raise StoreUnavailable
        return await real(*arguments, **options)

    monkeypatch.setattr(store, method, sometimes)
    return calls


async def test_claims_wait_for_a_store_that_is_away(store: SqliteJobStore, pool: PlayedPool, processor: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    await one(store)
    away_for(2, store, "claim", monkeypatch)
    processor.ring("default")
    await until(lambda: pool.got)


async def test_jobs_that_the_pool_cannot_take_go_back_uncounted(
    store: SqliteJobStore, pool: PlayedPool, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await one(store)

    def refuse(assignments: Sequence[Assignment]) -> None:
        pool.closed = True
        raise Draining

    monkeypatch.setattr(pool, "submit", refuse)
    processor.ring("default")
    await until(lambda: pool.closed)
    job = await in_state(store, job_id, "queued")
    assert (job.attempt, job.lease_token) == (0, 1)


async def in_state(store: SqliteJobStore, job_id: str, state: str) -> Job:
    async with asyncio.timeout(30):
        while (job := await store.job(job_id)).status != state or not job.lease_token:
            await asyncio.sleep(0.002)
    return job


async def test_a_claim_under_way_when_the_drain_begins_burns_no_attempt(store: SqliteJobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = PlayedPool()
    processor = make(store, pool)
    await processor.start()
    job_id = await one(store)
    real, asked, go = store.claim, asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any, **options: Any) -> Any:
        jobs = await real(*arguments, **options)
        asked.set()
        await go.wait()
        return jobs

    monkeypatch.setattr(store, "claim", slow)
    processor.ring("default")
    await asked.wait()
    drained = asyncio.create_task(processor.drain())
    await asyncio.sleep(0.01)
    go.set()
    await drained
    job = await store.job(job_id)
    assert (job.status, job.attempt, job.lease_token) == ("queued", 0, 1)


async def test_a_drain_gives_back_what_has_not_ended_and_commits_what_has(store: SqliteJobStore) -> None:
    pool = PlayedPool()
    processor = make(store, pool)
    await processor.start()
    ids = await submitted(store, *[request() for _ in range(4)])
    processor.ring("default")
    await until(lambda: len(pool.got) == 4)
    end(processor, pool, outcome(pool.got[0]), outcome(pool.got[1], "snoozed", after_seconds=60.0))
    await processor.drain()
    assert await states(store, *ids) == ["succeeded", "scheduled", "queued", "queued"]
    assert [(await store.job(job_id)).attempt for job_id in ids] == [1, 0, 0, 0]


async def test_a_drain_waits_for_commits_under_way(store: SqliteJobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = PlayedPool()
    processor = make(store, pool, drain_seconds=0.05)
    await processor.start()
    job_id = await one(store)
    processor.ring("default")
    await until(lambda: pool.got)
    real, asked, go = store.end_attempts, asyncio.Event(), asyncio.Event()

    async def slow(endings: Sequence[Ending]) -> Any:
        asked.set()
        await go.wait()
        return await real(endings)

    monkeypatch.setattr(store, "end_attempts", slow)
    end(processor, pool, outcome(pool.got[0]))
    await asked.wait()
    drained = asyncio.create_task(processor.drain())
    done, _ = await asyncio.wait([drained], timeout=0.5)  # ten times its grace: the handlers' time, not the commits'
    assert not done and await states(store, job_id) == ["running"]
    go.set()
    await drained
    assert await states(store, job_id) == ["succeeded"]


def queued(store: SqliteJobStore, job_id: str, queue: str = "default") -> Event:
    document = {
        "specversion": "1.0", "id": f"job/{job_id}/2", "source": store.source, "type": "dev.observatory.job.queued.v1", "subject": f"job/{job_id}",
        "time": "2026-11-24T08:15:00.000000Z", "datacontenttype": "application/json", "queue": queue, "jobtype": "demo.noop", "sequence": "2",
        "attempt": "0", "actor": "anna", "data": {"from": "queued", "to": "queued", "reason": "submitted"},
    }  # fmt: skip
    return Event(document)


class TestPatience:
    """On Knative a request lasts as long as its job."""

    @pytest.fixture
    async def processor(self, store: SqliteJobStore, pool: PlayedPool) -> AsyncIterator[Processor]:
        started = make(store, pool, patience_seconds=60.0)
        await started.start()
        yield started
        await started.drain()

    async def test_an_event_is_answered_when_its_queue_is_drained(self, store: SqliteJobStore, pool: PlayedPool, processor: Processor) -> None:
        ids = await submitted(store, request(), request())
        answer = asyncio.ensure_future(processor.handle("processor-default", [queued(store, ids[0])]))
        for left in (2, 1):
            await until(lambda: len(pool.got) == left)  # noqa: B023 - awaited within the turn
            assert not answer.done()
            end(processor, pool, outcome(pool.got[0]))
        assert await answer == [200]
        assert await states(store, *ids) == ["succeeded", "succeeded"]

    async def test_an_event_that_rings_nothing_here_is_answered_at_once(self, store: SqliteJobStore, processor: Processor) -> None:
        async with asyncio.timeout(10):  # less than its patience
            assert await processor.handle("processor-x", [queued(store, await one(store), queue="of-others")]) == [200]

    async def test_an_event_is_answered_when_its_time_is_over_and_the_work_goes_on(self, store: SqliteJobStore, pool: PlayedPool) -> None:
        processor = make(store, pool, patience_seconds=0.05)
        await processor.start()
        job_id = await one(store)
        async with asyncio.timeout(30):
            assert await processor.handle("processor-default", [queued(store, job_id)]) == [200]
        await until(lambda: pool.got)
        end(processor, pool, outcome(pool.got[0]))
        assert await ended(store, job_id) == ["succeeded"]
        await processor.drain()

    async def test_a_drain_lets_no_request_hang(self, store: SqliteJobStore, pool: PlayedPool, processor: Processor) -> None:
        job_id = await one(store)
        answer = asyncio.ensure_future(processor.handle("processor-default", [queued(store, job_id)]))
        await until(lambda: pool.got)
        await processor.drain()
        async with asyncio.timeout(10):  # less than its patience
            assert await answer == [200]
        assert await states(store, job_id) == ["queued"]


async def test_an_event_that_breaks_its_contract_becomes_a_dead_letter(store: SqliteJobStore, processor: Processor) -> None:
    bad = Event({**queued(store, await one(store)).document, "data": {"from": "nowhere"}})
    assert await processor.handle("processor-default", [bad]) == [200]
    (letter,) = (await store.dead_letters(10, None, None)).items
    assert (letter.trigger, letter.event_id) == ("processor-default", bad.id)


async def test_what_breaks_its_contract_and_cannot_be_kept_now_is_to_be_sent_again(
    store: SqliteJobStore, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 2xx would be the end of it: no broker sends it again, and nobody has it."""
    good = queued(store, await one(store))
    bad = Event({**good.document, "id": "elsewhere", "data": {"from": "nowhere"}})
    calls = away_for(1_000_000, store, "keep_dead_letter", monkeypatch)
    assert await processor.handle("processor-default", [good, bad]) == [503, 503]
    assert calls and (await store.dead_letters(10, None, None)).items == []
    monkeypatch.undo()
    assert await processor.handle("processor-default", [good, bad]) == [200, 200]
    assert [letter.event_id for letter in (await store.dead_letters(10, None, None)).items] == ["elsewhere"]


async def test_a_queue_with_a_limit_goes_on_when_one_of_its_jobs_ends(store: SqliteJobStore, pool: PlayedPool) -> None:
    await store.declare_queues([("narrow", 1, None, False)])
    processor = Processor(store, pool, queues={"narrow": QueueDeclaration("narrow", "", 1, None, False)}, instance="me")
    await processor.start()
    ids = await submitted(store, *[request(queue="narrow") for _ in range(3)])
    processor.ring("narrow")
    for _ in ids:
        await until(lambda: pool.got)
        assert len(pool.got) == 1
        end(processor, pool, outcome(pool.got[0]))
    assert await ended(store, *ids) == ["succeeded"] * 3
    await processor.drain()


async def test_types_that_are_held_back_wait_for_others_and_have_their_turn(store: SqliteJobStore, pool: PlayedPool, processor: Processor) -> None:
    pool.holds_back = HeldBack(frozenset({"bad.a", "bad.b"}), frozenset({"bad.b"}), 1, 8)
    await submitted(store, *[request(job_type) for job_type in ("bad.a", "bad.b", "bad.a", "demo.noop", "demo.noop", "demo.noop", "demo.noop")])
    processor.ring("default")
    await until(lambda: len(pool.got) == 5)
    assert [assignment.type for assignment in pool.got] == ["demo.noop"] * 4 + ["bad.a"]  # its turn, though others fill the pool
    end(processor, pool, *[outcome(assignment) for assignment in pool.got])
    await until(lambda: pool.got)
    assert [assignment.type for assignment in pool.got] == ["bad.a"]  # nobody else waits; bad.b must not even now
    pool.holds_back = HeldBack(frozenset({"bad.b"}), frozenset(), 0, 1)
    await until(lambda: len(pool.got) == 2)  # it comes again by itself
    assert pool.got[-1].type == "bad.b"
    end(processor, pool, *[outcome(assignment) for assignment in pool.got])


async def test_a_queue_with_a_rate_is_claimed_for_again_while_there_is_something_in_it_and_no_longer(
    store: SqliteJobStore, pool: PlayedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.declare_queues([("slow", None, 50.0, False)])
    claims: list[int] = []
    claim = store.claim

    async def counted(*arguments: Any, **options: Any) -> Any:
        claims.append(1)
        return await claim(*arguments, **options)

    monkeypatch.setattr(store, "claim", counted)
    processor = Processor(store, PlayedPool(wants=500), queues={"slow": QueueDeclaration("slow", "", None, 50.0, False)}, instance="me")
    await processor.start()
    ids = await submitted(store, *[request(queue="slow") for _ in range(60)])
    processor.ring("slow")
    async with asyncio.timeout(10):
        while "queued" in await states(store, *ids):
            await asyncio.sleep(0.01)
    await until(lambda: not processor._timed)
    before = len(claims)
    assert before >= 2  # the rate lets fifty go at once: the others were claimed with nobody ringing
    await asyncio.sleep(0.2)  # ten times the pause of its rate: that nothing is done is what is tested
    assert len(claims) == before
    await processor.drain()


async def test_a_bug_in_a_claim_does_not_end_the_dispatcher(
    store: SqliteJobStore, pool: PlayedPool, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = pool.wanted, []

    def sometimes() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a bug")
        return real()

    monkeypatch.setattr(pool, "wanted", sometimes)
    await one(store)
    processor.ring("default")
    await until(lambda: pool.got)
