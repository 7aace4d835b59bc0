"""What people and time ask for: cancel, retry, due times, expiry, queues."""

import asyncio

import pytest

from contracts.errors import IllegalMove, JobNotFound, ObservatoryError, UnknownQueue
from contracts.job import Job
from functions.stores.job_store import JobStore, Tick
from tests.ports.job_store.steps import (
    SECOND,
    Laboratory,
    claimed,
    ended,
    failed,
    last_event,
    lease,
    one,
    renewed,
    request,
    run,
    running,
    short,
    states,
    submitted,
    told,
    whole_feed,
)

NOBODY = "00000000-0000-7000-8000-000000000000"


class Cancelling:
    async def test_what_has_not_begun_is_cancelled_at_once(self, laboratory: Laboratory, store: JobStore) -> None:
        retrying = await running(store)
        await ended(store, retrying, "failed")
        queued = await one(store)
        scheduled = await one(store, run_at=store.now() + 60 * SECOND)
        waiting = await one(store, depends_on=[queued])
        ids = [queued, scheduled, waiting, retrying.id]
        assert await states(store, *ids) == ["queued", "scheduled", "waiting", "retrying"]
        answers = await store.cancel(ids, "anna", "a mistake")
        assert [job.status for job in answers if isinstance(job, Job)] == ["cancelled"] * 4
        assert await states(store, *ids) == ["cancelled"] * 4
        for job_id in (queued, scheduled, retrying.id):
            event = await last_event(store, job_id)
            assert (event.data["reason"], event.data["cause"], event.attribute("actor")) == ("a mistake", "person", "anna")
        laboratory.pass_seconds(120)
        await store.tick()
        assert await claimed(store, 10) == []

    async def test_a_running_job_is_asked_to_stop(self, store: JobStore) -> None:
        job = await running(store)
        (answer,) = await store.cancel([job.id], "anna", "enough")
        assert isinstance(answer, Job)
        assert (answer.status, answer.cancel_actor, answer.cancel_reason) == ("running", "anna", "enough")
        assert answer.cancel_requested_at is not None
        assert await renewed(store, job) == ["cancelling"]
        assert await ended(store, job, "cancelled") == "cancelled"
        event = await last_event(store, job.id)
        assert (short(event), event.data["reason"], event.attribute("actor")) == ("cancelled", "enough", "anna")

    async def test_asking_twice_is_no_fault_and_told_once(self, store: JobStore) -> None:
        job = await running(store)
        for _ in range(2):
            await store.cancel([job.id], "anna", None)
        assert (await told(store, job.id)).count("cancelrequested") == 1
        await ended(store, job, "cancelled")
        (answer,) = await store.cancel([job.id], "anna", None)
        assert isinstance(answer, Job)
        assert (await told(store, job.id)).count("cancelled") == 1

    async def test_a_success_committed_first_wins_over_the_cancel(self, store: JobStore) -> None:
        job = await running(store)
        await store.cancel([job.id], "anna", None)
        assert await ended(store, job, result=1) == "succeeded"
        assert await states(store, job.id) == ["succeeded"]

    @pytest.mark.parametrize("outcome", ["failed", "permanent", "timed_out", "worker_died", "snoozed"])
    async def test_a_cancel_wins_over_every_other_ending(self, store: JobStore, outcome: str) -> None:
        job = await running(store)
        await store.cancel([job.id], "anna", None)
        assert await ended(store, job, outcome, after_seconds=1.0) == "cancelled"
        assert await states(store, job.id) == ["cancelled"]

    async def test_what_has_ended_is_not_cancelled(self, store: JobStore) -> None:
        ids = [(await run_one(store)).id, await failed(store)]
        head = await store.head()
        answers = await store.cancel([*ids, NOBODY], "anna", None)
        assert [type(answer) for answer in answers] == [IllegalMove, IllegalMove, JobNotFound]
        assert await store.head() == head

    async def test_of_a_cancel_and_a_claim_at_once_exactly_one_comes_first(self, store: JobStore) -> None:
        for _ in range(20):
            job_id = await one(store)
            _, jobs = await asyncio.gather(store.cancel([job_id], "anna", None), claimed(store))
            assert await states(store, job_id) == (["running"] if jobs else ["cancelled"])
            if jobs:
                assert await renewed(store, *jobs) == ["cancelling"]
                await ended(store, jobs[0], "cancelled")


async def run_one(store: JobStore) -> Job:
    job = await running(store)
    await ended(store, job)
    return job


class Reopening:
    @pytest.mark.parametrize("end", ["failed", "cancelled"])
    async def test_a_retry_gives_an_ended_job_new_attempts(self, store: JobStore, end: str) -> None:
        job = await running(store, max_attempts=3)
        await store.progress(job.id, job.lease_token, {"fraction": 0.5, "message": None})
        if end == "cancelled":
            await store.cancel([job.id], "anna", "enough")
        await ended(store, job, "permanent")
        (answer,) = await store.reopen([job.id], "berta", "fixed")
        assert isinstance(answer, Job)
        stored = await store.job(job.id)
        assert (stored.status, stored.attempt, stored.attempts_allowed) == ("queued", 1, 4)
        assert (stored.error, stored.finished_at, stored.progress, stored.cancel_requested_at) == (None, None, None, None)
        assert (await told(store, job.id))[-2:] == ["reopened", "queued"]
        reopened = (await store.events_of(f"job/{job.id}"))[-2]
        assert (reopened.data["reason"], reopened.attribute("actor")) == ("fixed", "berta")
        (again,) = await claimed(store)
        assert (again.attempt, again.lease_token) == (2, 2)
        assert await ended(store, again) == "succeeded"

    async def test_a_reopened_job_has_its_whole_budget(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store, max_attempts=2)
        await ended(store, job, "permanent")
        await store.reopen([job.id], "anna", None)
        for _ in range(2):
            await run(store, "failed")
            laboratory.pass_seconds(61)
            await store.tick()
        stored = await store.job(job.id)
        assert (stored.status, stored.attempt, stored.attempts_allowed) == ("failed", 3, 3)

    async def test_a_cancelled_child_reopened_runs_without_its_parents(self, store: JobStore) -> None:
        parent = await running(store)
        child = await one(store, depends_on=[parent.id])
        await ended(store, parent, "permanent")
        await store.reopen([child], "anna", None)
        assert [job.id for job in await run(store)] == [child]

    async def test_only_failed_and_cancelled_jobs_are_reopened(self, store: JobStore) -> None:
        succeeded = (await run_one(store)).id
        queued = await one(store)
        head = await store.head()
        answers = await store.reopen([succeeded, queued, NOBODY], "anna", None)
        assert [type(answer) for answer in answers] == [IllegalMove, IllegalMove, JobNotFound]
        assert await store.head() == head


class Time:
    async def test_a_scheduled_job_is_released_when_due_and_not_before(self, laboratory: Laboratory, store: JobStore) -> None:
        job_id = await one(store, run_at=store.now() + 10 * SECOND)
        laboratory.pass_seconds(5)
        assert (await store.tick()).released == 0
        laboratory.pass_seconds(6)
        assert (await store.tick()).released == 1
        assert await states(store, job_id) == ["queued"]
        assert (await last_event(store, job_id)).data["reason"] == "due"

    async def test_a_tick_says_when_the_next_is_due(self, store: JobStore) -> None:
        assert (await store.tick()).next_due_at is None
        at = store.now() + 300 * SECOND
        await one(store, run_at=at)
        assert (await store.tick()).next_due_at == at
        await one(store, expires_at=at - 100 * SECOND)
        assert (await store.tick()).next_due_at == at - 100 * SECOND
        (job,) = await claimed(store)
        assert (await store.tick()).next_due_at == job.lease_until

    async def test_a_tick_takes_no_more_than_its_limit_and_says_so(self, laboratory: Laboratory, store: JobStore) -> None:
        at = store.now() + SECOND
        await submitted(store, *[request(run_at=at + n) for n in range(25)])
        laboratory.pass_seconds(2)
        ticks = [await store.tick(limit=10) for _ in range(4)]
        assert [(tick.released, tick.more) for tick in ticks] == [(10, True), (10, True), (5, False), (0, False)]

    async def test_ticks_at_once_release_each_job_once(self, laboratory: Laboratory, store: JobStore) -> None:
        ids = await submitted(store, *[request(run_at=store.now() + SECOND) for _ in range(10)])
        laboratory.pass_seconds(2)
        ticks: list[Tick] = await asyncio.gather(*(store.tick() for _ in range(5)))
        assert sum(tick.released for tick in ticks) == 10
        assert await told(store, ids[0]) == ["accepted", "scheduled", "queued"]

    async def test_what_was_not_started_in_time_expires(self, laboratory: Laboratory, store: JobStore) -> None:
        at = store.now() + 10 * SECOND
        queued = await one(store, expires_at=at)
        scheduled = await one(store, expires_at=at, run_at=at + SECOND)
        waiting = await one(store, expires_at=at, depends_on=[scheduled], on_parent_failure="run")
        laboratory.pass_seconds(11)
        tick = await store.tick()
        assert tick.expired == 3
        assert await states(store, queued, scheduled, waiting) == ["cancelled"] * 3
        assert (await last_event(store, queued)).data["cause"] == "expired"

    @pytest.mark.parametrize("how", ["expired", "cancelled before"])
    async def test_what_was_never_started_and_is_past_its_time_is_not_retried_in_vain(self, laboratory: Laboratory, store: JobStore, how: str) -> None:
        job_id = await one(store, expires_at=store.now() + 10 * SECOND)
        if how == "cancelled before":
            await store.cancel([job_id], "anna", None)
            (early,) = await store.reopen([job_id], "anna", None)  # its time is still to come
            assert isinstance(early, Job) and early.status == "queued"
            await store.cancel([job_id], "anna", None)
        laboratory.pass_seconds(11)
        await store.tick()
        before = await whole_feed(store)
        (refused,) = await store.reopen([job_id], "anna", None)
        assert isinstance(refused, IllegalMove) and "expires_at" in str(refused) and "rerun" in str(refused)
        assert await states(store, job_id) == ["cancelled"] and await whole_feed(store) == before

    async def test_what_was_started_in_time_is_retried_after_it(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store, expires_at=store.now() + 10 * SECOND)
        await ended(store, job, "permanent")
        laboratory.pass_seconds(11)
        (again,) = await store.reopen([job.id], "anna", None)
        assert isinstance(again, Job) and again.status == "queued"
        assert (await store.tick()).expired == 0 and await states(store, job.id) == ["queued"]

    @pytest.mark.parametrize("after", ["running", "released", "snoozed", "failed"])
    async def test_expiry_has_no_effect_after_a_claim(self, laboratory: Laboratory, store: JobStore, after: str) -> None:
        job = await running(store, expires_at=store.now() + 10 * SECOND)
        if after == "released":
            await store.release([lease(job)], "drain")
        elif after != "running":
            await ended(store, job, after, after_seconds=1.0)
        laboratory.pass_seconds(14)
        tick = await store.tick()
        assert tick.expired == 0
        assert (await states(store, job.id))[0] != "cancelled"

    async def test_of_expiry_and_a_claim_at_once_exactly_one_comes_first(self, laboratory: Laboratory, store: JobStore) -> None:
        for turn in range(10):
            job_id = await one(store, expires_at=store.now() + SECOND)
            laboratory.pass_seconds(2)
            writes = [claimed(store), store.tick()]
            first, second = await asyncio.gather(*(writes if turn % 2 else reversed(writes)))
            jobs, tick = (first, second) if isinstance(second, Tick) else (second, first)
            assert isinstance(tick, Tick)
            assert await states(store, job_id) == (["running"] if jobs else ["cancelled"])
            assert tick.expired == (0 if jobs else 1)
            if jobs:
                assert await ended(store, jobs[0]) == "succeeded"

    async def test_a_tick_with_nothing_to_do_writes_no_event(self, store: JobStore) -> None:
        await one(store)
        head = await store.head()
        assert await store.tick() == Tick(0, 0, 0, None, False)
        assert await store.head() == head


class Queues:
    async def declare(self, store: JobStore, limit: int | None = None, rate: float | None = None, paused: bool = False) -> None:
        await store.declare_queues([("narrow", limit, rate, paused)])

    async def test_a_declared_queue_is_told_once(self, store: JobStore) -> None:
        for _ in range(3):
            await self.declare(store, 4)
        await self.declare(store, 5)
        events = await store.events_of("queue/narrow")
        assert [short(event) for event in events] == ["configured", "configured"]
        assert events[-1].data["max_running"] == 5

    async def test_a_queue_says_what_is_in_it(self, laboratory: Laboratory, store: JobStore) -> None:
        await self.declare(store, 7, 2.5)
        await submitted(store, *[request(queue="narrow") for _ in range(3)])
        oldest = (await store.job((await claimed(store, queue="narrow"))[0].id)).queued_at
        (state,) = [queue for queue in await store.queues() if queue.name == "narrow"]
        assert (state.max_running, state.rate_per_second, state.paused, state.depth, state.running) == (7, 2.5, False, 2, 1)
        assert state.oldest_queued_at == oldest

    async def test_a_queue_s_oldest_job_is_the_longest_in_it_whatever_its_priority(self, laboratory: Laboratory, store: JobStore) -> None:
        later = await one(store, run_at=store.now() + 10 * SECOND)
        oldest = await one(store, priority=0)
        laboratory.pass_seconds(11)
        await one(store, priority=9)
        await store.tick()
        states = {queue.name: queue.oldest_queued_at for queue in await store.queues()}
        assert states == {"bulk": None, "default": (await store.job(oldest)).queued_at}
        assert (await store.job(later)).queued_at > (states["default"] or 0)

    async def test_a_queue_says_which_workers_it_has_seen_and_when(self, laboratory: Laboratory, store: JobStore) -> None:
        assert [queue.workers for queue in await store.queues()] == [{}, {}]
        await one(store)
        begun = store.now()
        (job,) = await claimed(store)
        assert await claimed(store, queue="bulk", worker="worker-b") == []  # asking is enough
        laboratory.pass_seconds(10)
        await renewed(store, job)
        seen = {queue.name: queue.workers for queue in await store.queues()}
        assert set(seen["default"]) == {"worker-a"} and set(seen["bulk"]) == {"worker-b"}
        assert seen["default"]["worker-a"] >= begun + 10 * SECOND > seen["bulk"]["worker-b"] >= begun

    async def test_a_paused_queue_hands_nothing_out(self, store: JobStore) -> None:
        await self.declare(store)
        await one(store, queue="narrow")
        state = await store.set_paused("narrow", True, "anna", "maintenance")
        assert (state.paused, state.paused_by) == (True, "anna")
        assert state.paused_at is not None
        assert await claimed(store, queue="narrow") == []
        state = await store.set_paused("narrow", False, "berta", None)
        assert (state.paused, state.paused_by, state.paused_at) == (False, None, None)
        assert len(await claimed(store, queue="narrow")) == 1
        events = await store.events_of("queue/narrow")
        assert [(short(event), event.attribute("actor")) for event in events][1:] == [("paused", "anna"), ("resumed", "berta")]

    async def test_pausing_twice_is_told_once(self, store: JobStore) -> None:
        await self.declare(store)
        await asyncio.gather(*(store.set_paused("narrow", True, "anna", None) for _ in range(5)))
        assert [short(event) for event in await store.events_of("queue/narrow")] == ["configured", "paused"]

    async def test_a_queue_declared_as_paused_stays_as_people_set_it(self, store: JobStore) -> None:
        await self.declare(store, paused=True)
        await store.set_paused("narrow", False, "anna", None)
        await self.declare(store, 3, paused=True)
        assert [queue.paused for queue in await store.queues() if queue.name == "narrow"] == [False]

    async def test_an_unknown_queue_is_refused_with_the_known_ones(self, store: JobStore) -> None:
        with pytest.raises(UnknownQueue, match="bulk, default"):
            await store.set_paused("nowhere", True, "anna", None)

    async def test_no_more_run_than_the_queue_allows(self, store: JobStore) -> None:
        await self.declare(store, 3)
        await submitted(store, *[request(queue="narrow") for _ in range(10)])
        taken = await asyncio.gather(*(claimed(store, 2, "narrow", f"worker-{n}") for n in range(5)))
        jobs = [job for found in taken for job in found]
        assert len(jobs) == 3
        await ended(store, jobs[0])
        await store.release([lease(jobs[1])], "drain")
        assert len(await claimed(store, 10, "narrow")) == 2

    async def test_a_claim_sees_the_places_that_endings_of_its_moment_free(self, store: JobStore) -> None:
        await self.declare(store, 1)
        await submitted(store, *[request(queue="narrow") for _ in range(3)])
        for _ in range(3):
            (job,) = await claimed(store, 5, "narrow")
            await ended(store, job)
        assert await store.counts() == {("narrow", "demo.noop", "succeeded"): 3}

    async def test_no_more_start_than_the_rate_allows(self, laboratory: Laboratory, store: JobStore) -> None:
        await self.declare(store, rate=2.0)
        await submitted(store, *[request(queue="narrow") for _ in range(50)])
        begun = store.now()
        started = len(await claimed(store, 50, "narrow"))
        for _ in range(10):
            laboratory.pass_seconds(1)
            started += len(await claimed(store, 50, "narrow"))
        assert 20 <= started <= 2 + 2.0 * (store.now() - begun) / SECOND

    async def test_a_rate_below_one_a_second_lets_one_go_now_and_then(self, laboratory: Laboratory, store: JobStore) -> None:
        await self.declare(store, rate=0.25)
        await submitted(store, *[request(queue="narrow") for _ in range(9)])
        begun, started = store.now(), 0
        for _ in range(5):
            laboratory.pass_seconds(4)
            started += len(await claimed(store, 9, "narrow"))
        assert 5 <= started <= 1 + 0.25 * (store.now() - begun) / SECOND

    async def test_an_idle_queue_saves_no_more_than_a_second_s_worth(self, laboratory: Laboratory, store: JobStore) -> None:
        await self.declare(store, rate=3.0)
        await submitted(store, *[request(queue="narrow") for _ in range(50)])
        laboratory.pass_seconds(1_000)
        assert len(await claimed(store, 50, "narrow")) == 3

    async def test_limit_rate_and_pause_outlive_a_restart(self, laboratory: Laboratory, store: JobStore) -> None:
        await store.declare_queues([("narrow", 1, None, False), ("slow", None, 1.0, False)])
        await store.set_paused("default", True, "anna", None)
        await submitted(store, *[request(queue=name) for name in ("narrow", "narrow", "slow", "slow", "default")])
        assert [len(await claimed(store, 5, name)) for name in ("narrow", "slow")] == [1, 1]
        await store.close()
        store = await laboratory.open()
        assert [len(await claimed(store, 5, name)) for name in ("narrow", "slow", "default")] == [0, 0, 0]
        await store.close()

    async def test_the_queues_of_a_store_are_listed_by_name(self, store: JobStore) -> None:
        await self.declare(store)
        names = [queue.name for queue in await store.queues()]
        assert names == sorted(names)
        assert "narrow" in names


class Reports:
    async def test_every_wish_names_its_actor_in_the_feed(self, store: JobStore) -> None:
        job_id = await failed(store, actor="clara")
        await store.reopen([job_id], "anna", None)
        await store.cancel([job_id], "berta", None)
        actors = {short(event): event.attribute("actor") for event in await whole_feed(store) if event.subject == f"job/{job_id}"}
        assert (actors["accepted"], actors["reopened"], actors["cancelled"]) == ("clara", "anna", "berta")

    async def test_each_event_of_a_job_names_the_one_before_as_its_cause(self, store: JobStore) -> None:
        job_id = await failed(store)
        events = await store.events_of(f"job/{job_id}")
        assert [event.attribute("causation") for event in events] == [None, *(event.id for event in events[:-1])]

    async def test_answers_of_faulty_wishes_stand_in_their_place(self, store: JobStore) -> None:
        good = await one(store)
        answers = await store.cancel([NOBODY, good, NOBODY], "anna", None)
        assert [isinstance(answer, ObservatoryError) for answer in answers] == [True, False, True]
