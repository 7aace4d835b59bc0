"""Retention: what goes, what stays, and what the checkpoint keeps of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from contracts.errors import ContractViolation, JobNotFound
from contracts.job import JobRequest
from contracts.statistics import fold, merge
from functions.stores import pruning
from functions.stores.backends import postgres_retention
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.job_store import PUBLISH_CURSOR, STATISTICS_CURSOR, JobStore, Refusal
from functions.stores.retention import DAY_MICROS, Pruned, Retention
from tests.ports.job_store.alerts import judging
from tests.ports.job_store.steps import Laboratory, claimed, ended, failed, request, run, submitted, whole_feed

ALL = Retention({"succeeded": 0, "failed": 0, "cancelled": 0})


async def read_on(store: JobStore) -> None:
    """Every reader of the feed has come to its head; the statistics that live beside the jobs have really been folded."""
    head = await store.head()
    if isinstance(store, SqliteJobStore):
        stats = SqliteStatsStore(store.database)
        after = await stats.cursor()
        assert await stats.apply(fold(await store.feed(after, 10_000)), after, head)
    for cursor in (PUBLISH_CURSOR, STATISTICS_CURSOR):
        await store.advance(cursor, head)


async def prune(store: JobStore, keep: Retention = ALL) -> int:
    """How many jobs go, in as many steps as it takes."""
    jobs = 0
    for _ in range(100):
        done = await store.prune(keep)
        jobs += done.jobs
        if not done.more:
            return jobs
    raise AssertionError("it never comes to an end")


async def prune_around(store: JobStore, meanwhile: Callable[[], Awaitable[Any]], keep: Retention = ALL) -> Pruned:
    """One step, and what is done between its look and its deed."""

    async def then(looking: Awaitable[Any]) -> Any:
        found = await looking
        if isinstance(found, pruning.Plan):
            patch.undo()
            await meanwhile()
        return found

    with pytest.MonkeyPatch.context() as patch:
        if isinstance(store, SqliteJobStore):
            read = store.database.read
            patch.setattr(store.database, "read", lambda question: then(read(question)))
        else:
            plan = postgres_retention.plan
            patch.setattr(postgres_retention, "plan", lambda *asked: then(plan(*asked)))
        return await store.prune(keep)


async def present(store: JobStore, *ids: str) -> list[bool]:
    found = []
    for job_id in ids:
        try:
            await store.job(job_id)
            found.append(True)
        except JobNotFound:
            found.append(False)
    return found


class Retaining:
    async def test_ended_jobs_go_with_all_that_is_theirs_and_others_stay(self, store: JobStore) -> None:
        done = (await submitted(store, request(tags=["a"])))[0]
        job = (await claimed(store))[0]
        await store.effect(done, job.lease_token, "step", 1)
        await ended(store, job)
        await failed(store)
        waiting = (await submitted(store, request()))[0]
        await read_on(store)
        assert await prune(store) == 2
        assert await present(store, done, waiting) == [False, True]
        assert await store.events_of(f"job/{done}") == []
        assert await store.effects([done]) == {done: {}} or await store.effects([done]) == {}
        assert sum((await store.counts()).values()) == 1

    async def test_each_status_has_its_own_time(self, store: JobStore) -> None:
        done = (await submitted(store, request()))[0]
        await run(store)
        lost = await failed(store)
        await submitted(store, request())
        await read_on(store)
        assert await prune(store, Retention({"succeeded": 0, "failed": DAY_MICROS})) == 1
        assert await present(store, done, lost) == [False, True]
        assert await prune(store, Retention({})) == 0

    async def test_of_too_many_the_oldest_go(self, store: JobStore) -> None:
        ids = []
        for _ in range(6):
            ids += await submitted(store, request())
            await run(store)
        await read_on(store)
        assert await prune(store, Retention({}, most_ended=2)) == 4
        assert await present(store, *ids) == [False] * 4 + [True] * 2

    async def test_nothing_goes_that_a_reader_has_not_passed(self, store: JobStore) -> None:
        first = await submitted(store, request())
        await run(store)
        await read_on(store)
        second = await submitted(store, request())
        await run(store)
        await submitted(store, request())
        await store.advance(PUBLISH_CURSOR, await store.head())
        assert await prune(store) == 1
        assert await present(store, *first, *second) == [False, True]

    async def test_the_newest_job_stays_so_that_no_number_is_given_twice(self, store: JobStore) -> None:
        ids = await submitted(store, request())
        await run(store)
        await read_on(store)
        assert await prune(store) == 0
        assert await present(store, *ids) == [True]

    async def test_the_checkpoint_and_what_is_left_fold_to_the_same_as_the_whole_log(self, store: JobStore) -> None:
        for number in range(12):
            await submitted(store, request(f"demo.{'abc'[number % 3]}"))
            await run(store, "permanent" if number % 4 == 0 else "succeeded")
        waiting = await submitted(store, request(), request())
        await store.cancel(waiting[:1], "eva", None)
        whole = fold(await whole_feed(store))
        await read_on(store)
        keep = Retention(ALL.jobs_micros, batch=3)
        more = True
        while more:
            more = (await store.prune(keep)).more
            checkpoint = await store.checkpoint()
            assert checkpoint is not None
            assert merge(checkpoint.sums, fold(await whole_feed(store))).as_json() == whole.as_json()
        assert checkpoint.jobs == 13
        assert sum((await store.pruned_states()).values()) == 13
        assert await store.dropped() == checkpoint.position <= await store.head()
        assert whole.as_json() != fold(await whole_feed(store)).as_json()

    async def test_a_job_that_is_reopened_stays(self, store: JobStore) -> None:
        job_id = await failed(store)
        await submitted(store, request())
        await read_on(store)
        await store.reopen([job_id], "eva", None)
        assert await prune(store) == 0
        assert await present(store, job_id) == [True]

    async def test_a_job_that_is_reopened_between_look_and_deed_stays(self, store: JobStore) -> None:
        job_id = await failed(store)
        await submitted(store, request())
        await read_on(store)
        assert await prune_around(store, lambda: store.reopen([job_id], "eva", None)) == Pruned(more=True)
        assert await present(store, job_id) == [True]
        assert (await store.job(job_id)).status == "queued"
        assert await store.checkpoint() is None

    async def test_nothing_goes_once_a_reader_was_set_back_though_it_was_planned_before(self, store: JobStore) -> None:
        job_id = await failed(store)
        await submitted(store, request())
        await read_on(store)
        assert await prune_around(store, lambda: store.set_back(STATISTICS_CURSOR, 1)) == Pruned(more=True)
        assert await present(store, job_id) == [True]
        await store.advance(STATISTICS_CURSOR, await store.head())
        assert await prune(store) == 1

    async def test_a_key_answers_for_its_day_though_its_job_is_gone(self, store: JobStore) -> None:
        keyed = JobRequest("demo.noop", {}, keys=("key:1",), fingerprint=b"1")
        (first,) = await store.submit([keyed])
        await run(store)
        await submitted(store, request())
        await read_on(store)
        assert await prune(store) == 1
        (again,) = await store.submit([keyed])
        assert (again.id, again.status, again.created) == (first.id, "succeeded", False)  # type: ignore[union-attr]

    async def test_a_key_that_a_new_job_takes_between_look_and_deed_stays(self, store: JobStore, laboratory: Laboratory) -> None:
        keyed = JobRequest("demo.noop", {}, keys=("key:1",), fingerprint=b"1")
        free = JobRequest("demo.noop", {}, keys=("key:2",), fingerprint=b"1")
        await store.submit([keyed, free])
        await run(store)
        await run(store)
        await submitted(store, request())
        await read_on(store)
        laboratory.pass_seconds(2 * 86_400)
        assert (await store.prune(ALL)).jobs == 2
        taken: list[Any] = []

        async def take() -> None:
            taken.extend(await store.submit([keyed]))

        assert (await prune_around(store, take)).keys == 2
        (again,) = await store.submit([keyed])
        assert taken[0].created
        assert (again.id, again.created) == (taken[0].id, False)  # type: ignore[union-attr]
        assert (await store.submit([free]))[0].created  # type: ignore[union-attr]

    async def test_a_dropped_job_that_a_key_still_names_is_no_parent(self, store: JobStore) -> None:
        keyed = JobRequest("demo.noop", {}, keys=("key:1",), fingerprint=b"1")
        await store.submit([keyed])
        await run(store)
        await submitted(store, request())
        await read_on(store)
        assert await prune(store) == 1
        again, child = await store.submit([keyed, request(depends_on=["#0"])])
        assert again.status == "succeeded"  # type: ignore[union-attr]
        assert isinstance(child, ContractViolation)

    async def test_what_was_told_of_alerts_goes_once_it_is_old(self, store: JobStore, laboratory: Laboratory) -> None:
        await store.judge_alerts(judging(0.2))
        laboratory.pass_seconds(3)
        await submitted(store, request())
        await read_on(store)
        await prune(store, Retention(others_micros=5_000_000))
        assert len(await store.events_of("alert/failure-rate/demo.fail-0")) == 1
        laboratory.pass_seconds(3)
        await prune(store, Retention(others_micros=5_000_000))
        assert await store.events_of("alert/failure-rate/demo.fail-0") == []
        assert (await store.judge_alerts(judging(0.2))).told == []  # it is still raised

    async def test_what_two_sweeps_planned_goes_and_is_counted_once(self, store: JobStore, laboratory: Laboratory) -> None:
        """Each looked before the other dropped: of jobs, and of what was told beside them."""
        await store.record_refusals([Refusal("demo.noop", "contract-violation", "no")] * 3)
        laboratory.pass_seconds(120)
        await store.tick()
        await submitted(store, request())
        await run(store)
        await submitted(store, request())
        laboratory.pass_seconds(40 * 86_400)
        whole = fold(await whole_feed(store))
        await read_on(store)
        for keep, dropped in (
            (Retention(others_micros=DAY_MICROS), Pruned(0, 1, more=True)),
            (ALL, Pruned(1, 4)),
        ):
            first: list[Pruned] = []

            async def sweep(keep: Retention = keep, first: list[Pruned] = first) -> None:
                first.append(await store.prune(keep))

            second = await prune_around(store, sweep, keep)
            assert (first[0].jobs, first[0].events) == (dropped.jobs, dropped.events)
            assert second == Pruned(more=True)
            checkpoint = await store.checkpoint()
            assert checkpoint is not None
            assert merge(checkpoint.sums, fold(await whole_feed(store))).as_json() == whole.as_json()
        assert checkpoint.jobs == 1

    async def test_an_empty_store_has_nothing_to_drop(self, store: JobStore) -> None:
        assert await store.prune(ALL) == Pruned()
        assert await store.checkpoint() is None
        assert await store.pruned_states() == {}

    @pytest.mark.parametrize("queue", ["default", "bulk"])
    async def test_what_is_dropped_is_counted_by_its_queue(self, store: JobStore, queue: str) -> None:
        await submitted(store, request(queue=queue))
        await run(store, queue=queue)
        await submitted(store, request())
        await read_on(store)
        await prune(store)
        assert await store.pruned_states() == {(queue, "demo.noop", "succeeded"): 1}
