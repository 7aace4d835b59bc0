"""Claims, leases, endings, effects: who may write what of a running job."""

import asyncio
import random
from typing import Any

import pytest

from contracts.errors import ContractViolation, JobNotFound, LeaseLost, ObservatoryError
from contracts.job import Job
from functions.stores.job_store import JobStore
from functions.stores.moves import Ending
from tests.ports.job_store.steps import (
    ERROR,
    SECOND,
    Laboratory,
    claimed,
    ended,
    ending,
    everything,
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
)


class Claims:
    async def test_a_claim_takes_the_highest_priority_then_the_oldest(self, store: JobStore) -> None:
        ids = await submitted(store, *[request(priority=p) for p in (4, 0, 9, 4, 9)])
        jobs = await claimed(store, 10)
        assert [job.id for job in jobs] == [ids[n] for n in (2, 4, 0, 3, 1)]

    async def test_a_claim_takes_no_more_than_it_asked_for(self, store: JobStore) -> None:
        await submitted(store, *[request() for _ in range(5)])
        assert [len(await claimed(store, limit)) for limit in (2, 2, 2, 2)] == [2, 2, 1, 0]

    async def test_a_claimed_job_runs_under_a_lease(self, store: JobStore) -> None:
        job = await running(store, payload={"a": 1})
        assert (job.status, job.attempt, job.lease_token, job.worker, job.payload) == ("running", 1, 1, "worker-a", {"a": 1})
        assert job.lease_until == (job.started_at or 0) + 15 * SECOND
        assert await store.job(job.id) == job
        event = await last_event(store, job.id)
        assert (short(event), event.data["worker"], event.data["lease_token"]) == ("started", "worker-a", 1)

    async def test_a_claim_tells_how_long_the_job_waited(self, laboratory: Laboratory, store: JobStore) -> None:
        job_id = await one(store)
        laboratory.pass_seconds(2.5)
        await store.claim("default", 1, worker="w", instance="i", lease_seconds=15, cold_start_seconds=0.75)
        data = (await last_event(store, job_id)).data
        assert 2.5 <= data["waited_seconds"] < 12.5
        assert data["cold_start_seconds"] == 0.75

    async def test_a_claim_passes_over_types_that_it_does_not_want(self, store: JobStore) -> None:
        wishes = [("demo.a", 9), ("demo.b", 1), ("demo.c", 4), ("demo.b", 9), ("demo.a", 4), ("demo.c", 9), ("demo.b", 4)]
        ids = await submitted(store, *[request(job_type, priority=priority) for job_type, priority in wishes])

        async def wanted(limit: int, *except_types: str) -> list[int]:
            jobs = await store.claim("default", limit, worker="w", instance="i", lease_seconds=15, except_types=except_types)
            return [ids.index(job.id) for job in jobs]

        assert await wanted(3, "demo.a") == [3, 5, 2]
        assert await wanted(5, "demo.b", "demo.c", "demo.none") == [0, 4]
        assert await wanted(5, "demo.b") == []
        assert await wanted(5) == [6, 1]

    async def test_a_claim_that_passes_over_types_keeps_to_the_queue_s_limit(self, store: JobStore) -> None:
        await store.declare_queues([("narrow", 2, None, False)])
        await submitted(store, *[request(job_type, queue="narrow") for job_type in ("demo.a", "demo.b", "demo.c", "demo.d")])
        jobs = await store.claim("narrow", 9, worker="w", instance="i", lease_seconds=15, except_types={"demo.a"})
        assert [job.type for job in jobs] == ["demo.b", "demo.c"]
        assert await claimed(store, 9, "narrow") == []

    async def test_a_claim_takes_from_its_own_queue(self, store: JobStore) -> None:
        await one(store, queue="bulk")
        assert await claimed(store) == []
        assert len(await claimed(store, queue="bulk")) == 1

    async def test_an_unknown_queue_has_nothing_to_claim(self, store: JobStore) -> None:
        assert await claimed(store, queue="nowhere") == []

    async def test_what_is_not_queued_is_not_claimed(self, store: JobStore) -> None:
        later = await one(store, run_at=store.now() + 60 * SECOND)
        await one(store, depends_on=[later])
        await store.cancel([await one(store)], "anna", None)
        await run_to_retrying(store)
        assert await claimed(store, 10) == []

    async def test_two_workers_cannot_both_claim_a_job(self, store: JobStore) -> None:
        ids = await submitted(store, *[request() for _ in range(100)])
        taken = await asyncio.gather(*(claimed(store, random.Random(n).randint(1, 9), worker=f"worker-{n}") for n in range(40)))
        found = [job.id for jobs in taken for job in jobs]
        assert len(found) == len(set(found)) == min(100, sum(random.Random(n).randint(1, 9) for n in range(40)))
        assert set(found) <= set(ids)

    async def test_claims_beside_submissions_find_each_job_once(self, store: JobStore) -> None:
        found: list[Job] = []

        async def take() -> None:
            while len(found) < 60:
                found.extend(await claimed(store, 3))
                await asyncio.sleep(0)

        async def give() -> None:
            for _ in range(60):
                await one(store)

        await asyncio.gather(give(), take(), take())
        assert len({job.id for job in found}) == len(found) == 60

    async def test_a_job_submitted_before_a_claim_began_is_found_by_it(self, store: JobStore) -> None:
        for _ in range(20):
            job_id = await one(store)
            assert [job.id for job in await claimed(store)] == [job_id]


async def run_to_retrying(store: JobStore, **options: Any) -> Job:
    job = await running(store, **options)
    await ended(store, job, "failed")
    return job


class Endings:
    async def test_a_success_keeps_the_result(self, store: JobStore) -> None:
        job = await running(store)
        assert await ended(store, job, result={"words": [1, None, "ä"]}) == "succeeded"
        stored = await store.job(job.id)
        assert (stored.status, stored.result, stored.error, stored.lease_until) == ("succeeded", {"words": [1, None, "ä"]}, None, None)
        assert stored.finished_at is not None
        assert (await last_event(store, job.id)).data["ran_seconds"] == 0.0015

    @pytest.mark.parametrize("outcome", ["failed", "timed_out", "worker_died"])
    async def test_a_failed_attempt_is_tried_again_after_its_backoff(self, laboratory: Laboratory, store: JobStore, outcome: str) -> None:
        job = await running(store, backoff={"initial_seconds": 8.0, "factor": 3.0, "maximum_seconds": 20.0, "jitter": False})
        for attempt, delay in ((1, 8), (2, 20), (3, 20)):
            assert await ended(store, job, outcome) == outcome
            stored = await store.job(job.id)
            assert (stored.status, stored.attempt, stored.error) == ("retrying", attempt, ERROR)
            event = await last_event(store, job.id)
            assert (event.data["outcome"], event.data["error"]) == (outcome, ERROR)
            assert 0 <= (stored.run_at or 0) - store.now() <= delay * SECOND
            assert (await store.tick()).released == 0
            laboratory.pass_seconds(delay + 0.1)
            assert (await store.tick()).released == 1
            (job,) = await claimed(store)
            assert (job.attempt, job.lease_token) == (attempt + 1, attempt + 1)

    async def test_backoff_is_drawn_from_its_whole_range(self, store: JobStore) -> None:
        backoff = {"initial_seconds": 100.0, "factor": 2.0, "maximum_seconds": 300.0, "jitter": True}
        await submitted(store, *[request(backoff=backoff) for _ in range(200)])
        before = store.now()
        jobs = await run(store, "failed", limit=200)
        delays = sorted([((await store.job(job.id)).run_at or 0) - before for job in jobs])
        assert delays[-1] <= 100 * SECOND + (store.now() - before)
        assert delays[20] < 30 * SECOND
        assert delays[180] > 70 * SECOND

    async def test_the_handler_s_own_wish_comes_before_the_backoff(self, store: JobStore) -> None:
        job = await running(store)
        await ended(store, job, "failed", after_seconds=42.0)
        assert 41 * SECOND < ((await store.job(job.id)).run_at or 0) - store.now() <= 42 * SECOND

    async def test_the_last_attempt_fails_for_good(self, store: JobStore) -> None:
        job = await running(store, max_attempts=1)
        assert await ended(store, job, "failed") == "failed"
        stored = await store.job(job.id)
        assert (stored.status, stored.error, stored.run_at) == ("failed", ERROR, None)
        assert await told(store, job.id) == ["accepted", "queued", "started", "failed"]

    async def test_a_permanent_error_is_tried_no_more(self, store: JobStore) -> None:
        job = await running(store, max_attempts=9)
        assert await ended(store, job, "permanent") == "permanent"
        assert await states(store, job.id) == ["failed"]

    async def test_a_success_after_a_failure_has_no_error(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await run_to_retrying(store)
        laboratory.pass_seconds(2)
        await store.tick()
        await run(store)
        stored = await store.job(job.id)
        assert (stored.status, stored.error, stored.attempt) == ("succeeded", None, 2)

    async def test_a_snooze_gives_the_attempt_back(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store, max_attempts=1)
        for token in (1, 2, 3):
            assert (job.attempt, job.lease_token) == (1, token)
            assert await ended(store, job, "snoozed", after_seconds=5.0) == "released"
            stored = await store.job(job.id)
            assert (stored.status, stored.attempt) == ("scheduled", 0)
            laboratory.pass_seconds(6)
            await store.tick()
            (job,) = await claimed(store)
        assert (await told(store, job.id))[:6] == ["accepted", "queued", "started", "released", "scheduled", "queued"]

    async def test_a_snooze_of_no_time_queues_the_job_again(self, store: JobStore) -> None:
        job = await running(store)
        await ended(store, job, "snoozed", after_seconds=0.0)
        assert await states(store, job.id) == ["queued"]
        assert (await told(store, job.id))[-2:] == ["released", "queued"]

    async def test_every_attempt_is_kept_with_what_it_said(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store)
        began = store.now()
        await ended(store, job, "failed", output="printed\n", began_at=began)
        laboratory.pass_seconds(2)
        await store.tick()
        (job,) = await claimed(store, worker="worker-b")
        failed, current = await store.attempts(job.id)
        assert (failed.attempt, failed.lease_token, failed.outcome, failed.error, failed.output) == (1, 1, "failed", ERROR, "printed\n")
        assert (failed.worker, failed.instance, failed.started_at) == ("worker", "instance", began)
        assert failed.finished_at is not None
        assert (current.attempt, current.outcome, current.worker, current.finished_at) == (2, "running", "worker-b", None)
        await ended(store, job)
        assert [attempt.outcome for attempt in await store.attempts(job.id)] == ["failed", "succeeded"]

    async def test_many_endings_are_answered_each_in_its_place(self, store: JobStore) -> None:
        await submitted(store, *[request(max_attempts=1) for _ in range(3)])
        a, b, c = await claimed(store, 3)
        unknown = Ending("00000000-0000-7000-8000-000000000000", 1, "succeeded")
        answers = await store.end_attempts([ending(a), unknown, ending(b, "failed"), Ending(c.id, 7, "succeeded"), ending(a)])
        assert [answer if isinstance(answer, str) else type(answer) for answer in answers] == [
            "succeeded", JobNotFound, "failed", LeaseLost, LeaseLost,
        ]  # fmt: skip
        assert await states(store, a.id, b.id, c.id) == ["succeeded", "failed", "running"]

    async def test_an_ending_that_cannot_be_stored_harms_no_other_writer(self, store: JobStore) -> None:
        await submitted(store, *[request() for _ in range(5)])
        jobs = await claimed(store, 5)
        poison = ending(jobs[2], "permanent", error={"no": "error of the contract"})
        endings = [ending(job) for job in jobs[:2]] + [poison] + [ending(job) for job in jobs[3:]]
        answers = await asyncio.gather(*(store.end_attempts([item]) for item in endings), one(store), return_exceptions=True)
        assert [isinstance(answer, BaseException) for answer in answers] == [False, False, True, False, False, False]
        assert isinstance(answers[2], ContractViolation)
        assert await states(store, *[job.id for job in jobs]) == ["succeeded", "succeeded", "running", "succeeded", "succeeded"]


STALE_WRITES = {
    "a success": lambda store, job: store.end_attempts([ending(job, result={"stale": True})]),
    "a failure": lambda store, job: store.end_attempts([ending(job, "failed", output="stale")]),
    "a snooze": lambda store, job: store.end_attempts([ending(job, "snoozed", after_seconds=1.0)]),
    "a renewal": lambda store, job: store.renew([lease(job)], 1_000),
    "a release": lambda store, job: store.release([lease(job)], "drain"),
    "progress": lambda store, job: store.progress(job.id, job.lease_token, {"fraction": 0.5, "message": "stale"}),
    "an effect": lambda store, job: store.effect(job.id, job.lease_token, "pay", "stale"),
}


class Fencing:
    @pytest.mark.parametrize("write", STALE_WRITES)
    async def test_a_write_under_an_older_lease_changes_nothing(self, laboratory: Laboratory, store: JobStore, write: str) -> None:
        old = await running(store)
        laboratory.pass_seconds(16)
        await store.tick()
        laboratory.pass_seconds(16)
        await store.tick()
        (new,) = await claimed(store, worker="worker-b")
        assert (new.id, new.lease_token) == (old.id, 2)
        await self.assert_changes_nothing(store, old, write)
        assert await ended(store, new) == "succeeded"

    @pytest.mark.parametrize("write", STALE_WRITES)
    @pytest.mark.parametrize("state", ["retrying", "queued", "scheduled", "succeeded", "failed", "cancelled"])
    async def test_a_write_without_a_lease_changes_nothing(self, laboratory: Laboratory, store: JobStore, write: str, state: str) -> None:
        job = await running(store)
        if state == "queued":
            await store.release([lease(job)], "drain")
        else:
            outcome = {"retrying": "failed", "scheduled": "snoozed", "failed": "permanent"}.get(state, state)
            await ended(store, job, outcome, after_seconds=60.0)
        assert await states(store, job.id) == [state]
        await self.assert_changes_nothing(store, job, write)

    async def assert_changes_nothing(self, store: JobStore, job: Job, write: str) -> None:
        before = await everything(store, job.id)
        try:
            answer = await STALE_WRITES[write](store, job)
        except LeaseLost:
            answer = None
        if write == "a renewal":
            assert answer[0].state == "lost"
        elif write == "a release":
            assert answer == 0
        elif answer is not None:
            assert isinstance(answer[0], LeaseLost)
        assert await everything(store, job.id) == before

    async def test_the_token_counts_claims_and_never_goes_back(self, laboratory: Laboratory, store: JobStore) -> None:
        job_id = await one(store, max_attempts=2)
        tokens = []
        for outcome in ("snoozed", "failed", "snoozed", "failed"):
            laboratory.pass_seconds(100)
            await store.tick()
            (job,) = await claimed(store)
            tokens.append((job.attempt, job.lease_token))
            await ended(store, job, outcome, after_seconds=1.0)
        await store.reopen([job_id], "anna", None)
        (job,) = await claimed(store)
        assert [*tokens, (job.attempt, job.lease_token)] == [(1, 1), (1, 2), (2, 3), (2, 4), (3, 5)]


class Leases:
    async def test_a_renewed_lease_is_not_rescued(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store)
        for _ in range(5):
            laboratory.pass_seconds(10)
            assert await renewed(store, job) == ["held"]
            assert (await store.tick()).rescued == 0
        assert await ended(store, job) == "succeeded"

    async def test_a_renewal_is_no_event(self, store: JobStore) -> None:
        job = await running(store)
        head = await store.head()
        await renewed(store, job)
        assert await store.head() == head

    async def test_a_lost_lease_is_an_attempt_that_failed(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store)
        laboratory.pass_seconds(16)
        assert (await store.tick()).rescued == 1
        stored = await store.job(job.id)
        assert (stored.status, stored.attempt, stored.lease_until) == ("retrying", 1, None)
        assert (stored.error or {})["type"] == "LeaseLost"
        assert (await last_event(store, job.id)).data["outcome"] == "lease_lost"
        (attempt,) = await store.attempts(job.id)
        assert (attempt.outcome, attempt.worker) == ("lease_lost", "worker-a")

    async def test_the_last_attempt_s_lost_lease_fails_the_job(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store, max_attempts=1)
        laboratory.pass_seconds(16)
        await store.tick()
        assert await states(store, job.id) == ["failed"]

    async def test_a_cancel_that_was_asked_for_wins_over_a_lost_lease(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store)
        await store.cancel([job.id], "anna", "enough")
        laboratory.pass_seconds(16)
        await store.tick()
        assert await states(store, job.id) == ["cancelled"]

    async def test_whoever_knows_that_all_holders_are_dead_rescues_at_once(self, store: JobStore) -> None:
        await submitted(store, *[request() for _ in range(7)])
        await claimed(store, 5)
        assert (await store.tick(rescue_all=True)).rescued == 5
        assert (await store.tick(rescue_all=True)).rescued == 0

    async def test_a_renewal_says_of_each_lease_how_it_stands(self, laboratory: Laboratory, store: JobStore) -> None:
        await submitted(store, *[request() for _ in range(4)])
        held, cancelling, over, gone = await claimed(store, 4)
        await store.cancel([cancelling.id], "anna", None)
        await ended(store, over)
        gone.lease_token = 9
        assert await renewed(store, held, cancelling, over, gone) == ["held", "cancelling", "lost", "lost"]

    async def test_a_renewal_that_comes_late_but_before_the_rescue_holds(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store)
        laboratory.pass_seconds(16)
        assert await renewed(store, job) == ["held"]
        assert (await store.tick()).rescued == 0

    async def test_a_release_burns_no_attempt(self, store: JobStore) -> None:
        job = await running(store, max_attempts=1)
        assert await store.release([lease(job)], "drain") == 1
        stored = await store.job(job.id)
        assert (stored.status, stored.attempt, stored.lease_until) == ("queued", 0, None)
        assert (await told(store, job.id))[-2:] == ["released", "queued"]
        assert [attempt.outcome for attempt in await store.attempts(job.id)] == ["released"]
        (again,) = await claimed(store)
        assert (again.attempt, again.lease_token) == (1, 2)

    async def test_a_job_given_back_keeps_its_place(self, store: JobStore) -> None:
        first = await running(store)
        await one(store)
        await store.release([lease(first)], "drain")
        assert [job.id for job in await claimed(store)] == [first.id]

    async def test_a_job_given_back_that_was_to_be_cancelled_is_cancelled(self, store: JobStore) -> None:
        job = await running(store)
        await store.cancel([job.id], "anna", "enough")
        assert await store.release([lease(job)], "drain") == 1
        assert await states(store, job.id) == ["cancelled"]
        assert [attempt.outcome for attempt in await store.attempts(job.id)] == ["cancelled"]


class Effects:
    async def test_the_first_value_of_a_step_stands(self, store: JobStore) -> None:
        job = await running(store)
        assert await store.effect(job.id, job.lease_token, "pay", {"receipt": 1}) == {"receipt": 1}
        assert await store.effect(job.id, job.lease_token, "pay", {"receipt": 2}) == {"receipt": 1}
        assert await store.effects([job.id]) == {job.id: {"pay": {"receipt": 1}}}

    async def test_of_many_values_at_once_one_stands(self, store: JobStore) -> None:
        job = await running(store)
        stored = await asyncio.gather(*(store.effect(job.id, job.lease_token, "pay", n) for n in range(20)))
        assert len(set(stored)) == 1

    @pytest.mark.parametrize("value", [None, False, 0, "", [], {}, "ä\u2028", 2**53 + 1, 1e-7, [{"a": [None]}]])
    async def test_a_step_may_have_any_json_value(self, store: JobStore, value: Any) -> None:
        job = await running(store)
        assert await store.effect(job.id, job.lease_token, "step", value) == value
        assert await store.effect(job.id, job.lease_token, "step", "another") == value
        assert await store.effects([job.id]) == {job.id: {"step": value}}

    async def test_steps_outlive_their_attempt(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store)
        await store.effect(job.id, job.lease_token, "a", 1)
        laboratory.pass_seconds(16)
        await store.tick()
        laboratory.pass_seconds(2)
        await store.tick()
        (again,) = await claimed(store)
        await store.effect(again.id, again.lease_token, "b", 2)
        assert await store.effect(again.id, again.lease_token, "a", 3) == 1
        assert await store.effects([job.id, "unknown"]) == {job.id: {"a": 1, "b": 2}}

    async def test_an_effect_of_an_unknown_job_is_refused(self, store: JobStore) -> None:
        with pytest.raises(ObservatoryError):
            await store.effect("00000000-0000-7000-8000-000000000000", 1, "a", 1)


class Progressing:
    async def test_progress_is_kept_and_told(self, store: JobStore) -> None:
        job = await running(store)
        for fraction in (0.25, 1.0):
            await store.progress(job.id, job.lease_token, {"fraction": fraction, "message": "half a loaf"})
        assert (await store.job(job.id)).progress == {"fraction": 1.0, "message": "half a loaf"}
        assert (await told(store, job.id))[-2:] == ["progressed", "progressed"]

    async def test_progress_changes_neither_state_nor_lease(self, store: JobStore) -> None:
        job = await running(store)
        await store.progress(job.id, job.lease_token, {"fraction": None, "message": None})
        stored = await store.job(job.id)
        assert (stored.status, stored.lease_until, stored.lease_token) == ("running", job.lease_until, job.lease_token)
