"""Submissions: what is stored, under which key, and who waits for whom."""

import asyncio
from typing import Any

import pytest

from contracts.errors import ContractViolation, IdempotencyConflict, UniqueKeyTaken
from contracts.job import JobRequest
from functions.stores.job_store import JobStore, Submitted
from tests.ports.job_store.steps import (
    SECOND,
    Laboratory,
    all_taken,
    claimed,
    ended,
    failed,
    last_event,
    one,
    request,
    run,
    running,
    short,
    states,
    submitted,
    told,
    whole_feed,
)


class Submissions:
    async def test_a_submission_is_stored_with_its_first_events(self, store: JobStore) -> None:
        (answer,) = all_taken(await store.submit([request(payload={"a": 1})]))
        assert (answer.status, answer.created, answer.deduplicated) == ("queued", True, False)
        job = await store.job(answer.id)
        assert (job.status, job.payload, job.attempt, job.lease_token, job.sequence) == ("queued", {"a": 1}, 0, 0, 2)
        assert job.queued_at == job.created_at
        assert await told(store, answer.id) == ["accepted", "queued"]

    async def test_every_option_of_a_request_is_kept(self, store: JobStore) -> None:
        parent, dependency = await submitted(store, request(), request())
        options: dict[str, Any] = {
            "payload": {"text": "ä\u2028\U0001f642", "numbers": [1, 1.5, -(2**63), 2**63], "nested": [[[{"deep": None}]]], "empty": {}},
            "task_version": 3,
            "queue": "bulk",
            "priority": 9,
            "max_attempts": 7,
            "timeout_seconds": 12.5,
            "backoff": {"initial_seconds": 0.1, "factor": 1.5, "maximum_seconds": 2.0, "jitter": True},
            "run_at": store.now() + 60 * SECOND,
            "expires_at": store.now() + 90 * SECOND,
            "unique_key": "only me",
            "tags": ["b", "a"],
            "parent_id": parent,
            "depends_on": [dependency],
            "on_parent_failure": "run",
            "actor": "anna",
            "source": "urn:client",
            "source_id": "7",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cause": "urn:client 7",
        }
        (job_id,) = await submitted(store, request("text.statistics", **options))
        job = await store.job(job_id)
        for name, value in options.items():
            if name != "cause":
                assert getattr(job, name) == value, name
        assert (job.attempts_allowed, job.root_id, job.open_parents) == (7, parent, 1)
        (event,) = await store.events_of(f"job/{job_id}")
        assert event.attribute("causation") == "urn:client 7"
        assert event.attribute("traceparent") == options["traceparent"]

    @pytest.mark.parametrize(("seconds", "state"), [(60, "scheduled"), (0, "queued"), (-60, "queued")])
    async def test_a_job_is_scheduled_until_its_time(self, store: JobStore, seconds: int, state: str) -> None:
        job_id = await one(store, run_at=store.now() + seconds * SECOND)
        assert await states(store, job_id) == [state]
        assert await told(store, job_id) == ["accepted", state]

    async def test_answers_stand_in_the_order_of_the_requests(self, store: JobStore) -> None:
        answers = await store.submit([request(), request(parent_id="00000000-0000-7000-8000-000000000000"), request()])
        assert [type(answer) for answer in answers] == [Submitted, ContractViolation, Submitted]
        first, _, third = answers
        assert isinstance(first, Submitted)
        assert isinstance(third, Submitted)
        assert await store.counts() == {("default", "demo.noop", "queued"): 2}
        assert first.id < third.id

    async def test_nothing_to_submit_answers_nothing(self, store: JobStore) -> None:
        head = await store.head()
        assert await store.submit([]) == []
        assert await store.head() == head

    async def test_ids_grow_with_time(self, store: JobStore) -> None:
        ids = await submitted(store, *[request() for _ in range(50)])
        ids += [await one(store) for _ in range(10)]
        assert ids == sorted(set(ids))

    async def test_a_thousand_at_once_are_one_commit(self, store: JobStore) -> None:
        commits: list[int] = []
        store.on_committed(lambda events: commits.append(len(events)))
        assert len(set(await submitted(store, *[request(payload={"n": n}) for n in range(1_000)]))) == 1_000
        async with asyncio.timeout(30):
            while sum(commits) < 2_000:
                await asyncio.sleep(0.01)
        assert commits in ([2_000], [1_000, 1_000])  # pages, where a store reads its own commit because it heard of it from the others first

    async def test_many_writers_at_once_lose_nothing(self, store: JobStore) -> None:
        answers = await asyncio.gather(*(store.submit([request(payload={"n": n})]) for n in range(200)))
        ids = {all_taken(answer)[0].id for answer in answers}
        assert len(ids) == 200
        assert {(await store.job(job_id)).payload["n"] for job_id in ids} == set(range(200))


class Idempotency:
    async def test_a_key_sent_again_is_the_same_job_as_it_stands_now(self, store: JobStore) -> None:
        again = request(keys=("key:a",), fingerprint=b"1")
        job_id = (await submitted(store, again))[0]
        await run(store)
        assert await store.submit([again]) == [Submitted(job_id, "succeeded", created=False)]

    async def test_a_key_with_another_request_is_a_conflict_that_changes_nothing(self, store: JobStore) -> None:
        await submitted(store, request(keys=("key:a",), fingerprint=b"1"))
        head = await store.head()
        (answer,) = await store.submit([request(keys=("key:a",), fingerprint=b"2")])
        assert isinstance(answer, IdempotencyConflict)
        assert await store.head() == head

    async def test_fifty_at_once_under_one_key_are_one_job(self, store: JobStore) -> None:
        answers = await asyncio.gather(*(store.submit([request(keys=("key:a",), fingerprint=b"1")]) for _ in range(50)))
        taken = [all_taken(answer)[0] for answer in answers]
        assert len({answer.id for answer in taken}) == 1
        assert sum(answer.created for answer in taken) == 1
        assert sum((await store.counts()).values()) == 1

    async def test_of_different_requests_at_once_under_one_key_one_is_taken(self, store: JobStore) -> None:
        answers = await asyncio.gather(*(store.submit([request(keys=("key:a",), fingerprint=bytes([n]))]) for n in range(20)))
        flat = [answer for (answer,) in answers]
        assert sum(isinstance(answer, Submitted) for answer in flat) == 1
        assert sum(isinstance(answer, IdempotencyConflict) for answer in flat) == 19

    async def test_a_key_repeated_within_one_batch_is_one_job(self, store: JobStore) -> None:
        first, second, third = await store.submit(
            [request(keys=("key:a",), fingerprint=b"1"), request(keys=("key:a",), fingerprint=b"1"), request(keys=("key:a",), fingerprint=b"2")]
        )
        assert isinstance(first, Submitted)
        assert second == Submitted(first.id, "queued", created=False)
        assert isinstance(third, IdempotencyConflict)

    async def test_a_client_s_event_and_its_key_both_stand_for_the_job(self, store: JobStore) -> None:
        (job_id,) = await submitted(store, request(keys=("ce:urn:client 1", "key:a"), fingerprint=b"1"))
        for key in ("ce:urn:client 1", "key:a"):
            assert await store.submit([request(keys=(key,), fingerprint=b"1")]) == [Submitted(job_id, "queued", created=False)]

    async def test_a_refused_request_leaves_its_key_free(self, store: JobStore) -> None:
        refused = request(keys=("key:a",), fingerprint=b"1", parent_id="00000000-0000-7000-8000-000000000000")
        (answer,) = await store.submit([refused])
        assert isinstance(answer, ContractViolation)
        assert len(await submitted(store, request(keys=("key:a",), fingerprint=b"2"))) == 1

    async def test_a_key_that_a_refused_request_held_goes_to_the_next_of_the_same_batch(self, store: JobStore) -> None:
        refused = request(keys=("key:a", "key:b"), fingerprint=b"1", parent_id="00000000-0000-7000-8000-000000000000")
        good = request(keys=("key:a",), fingerprint=b"2")
        first, second = await store.submit([refused, good])
        assert isinstance(first, ContractViolation)
        (taken,) = all_taken([second])
        assert await store.submit([good]) == [Submitted(taken.id, "queued", created=False)]
        assert len(await submitted(store, request(keys=("key:b",), fingerprint=b"3"))) == 1

    async def test_a_new_key_beside_a_known_one_stands_for_the_same_job(self, store: JobStore) -> None:
        (job_id,) = await submitted(store, request(keys=("key:a",), fingerprint=b"1"))
        for keys in (("ce:urn:client 1", "key:a"), ("ce:urn:client 1",), ("ce:urn:client 1", "key:b"), ("key:b",)):
            assert await store.submit([request(keys=keys, fingerprint=b"1")]) == [Submitted(job_id, "queued", created=False)]

    async def test_a_conflict_leaves_the_new_keys_of_its_request_free(self, store: JobStore) -> None:
        await submitted(store, request(keys=("key:a",), fingerprint=b"1"))
        (answer,) = await store.submit([request(keys=("ce:urn:client 1", "key:a"), fingerprint=b"2")])
        assert isinstance(answer, IdempotencyConflict)
        assert len(await submitted(store, request(keys=("ce:urn:client 1",), fingerprint=b"3"))) == 1

    async def test_keys_outlive_a_restart(self, laboratory: Laboratory, store: JobStore) -> None:
        (job_id,) = await submitted(store, request(keys=("key:a",), fingerprint=b"1"))
        await store.close()
        store = await laboratory.open()
        assert await store.submit([request(keys=("key:a",), fingerprint=b"1")]) == [Submitted(job_id, "queued", created=False)]
        await store.close()


class UniqueKeys:
    async def test_a_unique_key_is_held_until_its_job_ended(self, store: JobStore) -> None:
        job_id = await one(store, unique_key="a")
        assert await store.submit([request(unique_key="a")]) == [Submitted(job_id, "queued", created=False, deduplicated=True)]
        (job,) = await claimed(store)
        assert await store.submit([request(unique_key="a")]) == [Submitted(job_id, "running", created=False, deduplicated=True)]
        await ended(store, job)
        assert await one(store, unique_key="a") != job_id

    async def test_unique_keys_of_two_types_do_not_collide(self, store: JobStore) -> None:
        assert len(await submitted(store, request("demo.noop", unique_key="a"), request("demo.fail", unique_key="a"))) == 2

    async def test_a_unique_key_is_unique_within_one_batch_too(self, store: JobStore) -> None:
        first, second = await store.submit([request(unique_key="a"), request(unique_key="a")])
        assert isinstance(first, Submitted)
        assert second == Submitted(first.id, "queued", created=False, deduplicated=True)

    async def test_fifty_at_once_of_a_unique_key_are_one_job(self, store: JobStore) -> None:
        answers = await asyncio.gather(*(store.submit([request(unique_key="a")]) for _ in range(50)))
        assert len({all_taken(answer)[0].id for answer in answers}) == 1

    async def test_an_idempotency_key_of_a_deduplicated_request_stands_for_the_holder(self, store: JobStore) -> None:
        holder = await one(store, unique_key="a")
        keyed = request(unique_key="a", keys=("key:k",), fingerprint=b"1")
        first, second = all_taken(await store.submit([keyed, keyed]))
        assert (first.id, second.id) == (holder, holder)
        await run(store)
        assert all_taken(await store.submit([keyed]))[0].id == holder

    async def test_a_retry_cannot_take_a_unique_key_from_its_holder(self, store: JobStore) -> None:
        old = await failed(store, unique_key="a")
        holder = await one(store, unique_key="a")
        (answer,) = await store.reopen([old], "anna", None)
        assert isinstance(answer, UniqueKeyTaken)
        assert holder in answer.message
        assert await states(store, old, holder) == ["failed", "queued"]

    async def test_of_two_ended_jobs_of_a_unique_key_one_is_reopened(self, store: JobStore) -> None:
        ids = [await failed(store, unique_key="a") for _ in range(2)]
        first, second = await store.reopen(ids, "anna", None)
        assert not isinstance(first, Exception)
        assert isinstance(second, UniqueKeyTaken)
        assert await states(store, *ids) == ["queued", "failed"]

    async def test_a_unique_key_goes_on_in_the_moment_in_which_its_job_ends(self, store: JobStore) -> None:
        job = await running(store, unique_key="a")
        _, (answer,) = await asyncio.gather(ended(store, job), store.submit([request(unique_key="a")]))
        assert isinstance(answer, Submitted)
        assert answer.created is (answer.id != job.id)


class Dependencies:
    async def test_a_child_waits_for_all_its_parents(self, store: JobStore) -> None:
        parents = await submitted(store, request(), request())
        child = await one(store, depends_on=parents)
        assert await told(store, child) == ["accepted"]
        await run(store)
        assert await states(store, child) == ["waiting"]
        await run(store)
        assert await states(store, child) == ["queued"]
        assert (await last_event(store, child)).data["reason"] == "parents_ended"

    async def test_a_child_is_released_in_its_last_parent_s_own_commit(self, store: JobStore) -> None:
        job = await running(store)
        child = await one(store, depends_on=[job.id])
        commits: list[list[str]] = []
        store.on_committed(lambda events: commits.append([f"{event.subject} {short(event)}" for event in events]))
        await ended(store, job)
        assert commits == [[f"job/{job.id} succeeded", f"job/{child} queued"]]

    async def test_a_child_with_a_time_of_its_own_waits_for_that_too(self, laboratory: Laboratory, store: JobStore) -> None:
        job = await running(store)
        child = await one(store, depends_on=[job.id], run_at=store.now() + 60 * SECOND)
        await ended(store, job)
        assert await states(store, child) == ["scheduled"]
        laboratory.pass_seconds(61)
        await store.tick()
        assert await states(store, child) == ["queued"]

    @pytest.mark.parametrize("end", ["failed", "cancelled"])
    async def test_a_failed_or_cancelled_parent_cancels_its_children_and_theirs(self, store: JobStore, end: str) -> None:
        job = await running(store)
        child = await one(store, depends_on=[job.id])
        grandchild = await one(store, depends_on=[child])
        if end == "cancelled":
            await store.cancel([job.id], "anna", None)
        await ended(store, job, "permanent")
        assert await states(store, job.id, child, grandchild) == [end, "cancelled", "cancelled"]
        event = await last_event(store, child)
        assert event.data["cause"] == "parent"
        assert event.data["reason"] == f"its parent {job.id} is {end}"

    async def test_a_child_may_run_whatever_becomes_of_its_parents(self, store: JobStore) -> None:
        job = await running(store)
        child = await one(store, depends_on=[job.id], on_parent_failure="run")
        await ended(store, job, "permanent")
        assert await states(store, child) == ["queued"]

    @pytest.mark.parametrize(
        ("outcome", "rule", "state"), [("succeeded", "cancel", "queued"), ("permanent", "cancel", "cancelled"), ("permanent", "run", "queued")]
    )
    async def test_a_parent_that_ended_before_counts_at_once(self, store: JobStore, outcome: str, rule: str, state: str) -> None:
        job = await running(store)
        await ended(store, job, outcome)
        assert await states(store, await one(store, depends_on=[job.id], on_parent_failure=rule)) == [state]

    async def test_a_child_of_a_child_that_is_cancelled_at_once_is_cancelled_too(self, store: JobStore) -> None:
        broken = await failed(store)
        child, grandchild = await submitted(store, request(depends_on=[broken]), request(depends_on=["#0"]))
        assert await states(store, child, grandchild) == ["cancelled", "cancelled"]

    async def test_in_a_batch_a_child_names_earlier_items(self, store: JobStore) -> None:
        first, second, child = await submitted(store, request(), request(), request(depends_on=["#0", "#1"]))
        assert (await store.job(child)).depends_on == [first, second]
        await run(store, limit=5)
        assert await states(store, child) == ["queued"]

    @pytest.mark.parametrize("name", ["#1", "#2", "#99", "00000000-0000-7000-8000-000000000000"])
    async def test_an_unknown_parent_is_refused(self, store: JobStore, name: str) -> None:
        first, second = await store.submit([request(), request(depends_on=[name])])
        assert isinstance(first, Submitted)
        assert isinstance(second, ContractViolation)
        assert second.faults[0].pointer == "/depends_on/0"

    async def test_a_faulty_item_takes_its_children_along(self, store: JobStore) -> None:
        faulty = request(parent_id="00000000-0000-7000-8000-000000000000")
        answers = await store.submit([faulty, request(depends_on=["#0"]), request()])
        assert [type(answer) for answer in answers] == [ContractViolation, ContractViolation, Submitted]

    async def test_a_parent_named_twice_is_waited_for_once(self, store: JobStore) -> None:
        keyed: JobRequest = request(keys=("key:a",), fingerprint=b"1")
        (parent,) = await submitted(store, keyed)
        *_, child = await submitted(store, keyed, keyed, request(depends_on=[parent, "#0", "#1"]))
        assert (await store.job(child)).open_parents == 1
        await run(store)
        assert await states(store, child) == ["queued"]

    async def test_a_parent_that_ends_twice_counts_once(self, store: JobStore) -> None:
        first, other = await submitted(store, request(priority=9), request(priority=0))
        child = await one(store, depends_on=[first, other], on_parent_failure="run")
        await run(store, "permanent")
        await store.reopen([first], "anna", None)
        await run(store)
        assert await states(store, first, other, child) == ["succeeded", "queued", "waiting"]
        await run(store)
        assert await states(store, child) == ["queued"]

    async def test_a_parent_that_ends_and_is_reopened_in_one_moment_has_ended_for_its_children(self, store: JobStore) -> None:
        parent = await one(store)
        child = await one(store, depends_on=[parent])
        await asyncio.gather(store.cancel([parent], "anna", None), store.reopen([parent], "anna", None))
        assert await states(store, parent, child) == ["queued", "cancelled"]

    async def test_a_child_that_comes_in_the_moment_in_which_its_parent_ends_is_released_once(self, store: JobStore) -> None:
        for _ in range(10):
            job = await running(store)
            *_, child = await asyncio.gather(ended(store, job), one(store, depends_on=[job.id]))
            assert await states(store, child) == ["queued"]
            assert [job.id for job in await run(store)] == [child]

    async def test_a_cancelled_child_stays_cancelled(self, store: JobStore) -> None:
        job = await running(store)
        child = await one(store, depends_on=[job.id])
        await store.cancel([child], "anna", "no longer needed")
        await ended(store, job)
        assert await states(store, child) == ["cancelled"]
        assert (await store.job(child)).open_parents == 0

    async def test_a_chain_of_a_thousand_runs_to_its_end(self, store: JobStore) -> None:
        chain = await submitted(store, request(), *[request(depends_on=[f"#{n}"]) for n in range(999)])
        order = []
        while jobs := await run(store, limit=10):
            order += [job.id for job in jobs]
        assert order == chain

    async def test_a_chain_of_a_thousand_is_cancelled_in_one_commit(self, store: JobStore) -> None:
        chain = await submitted(store, request(), *[request(depends_on=[f"#{n}"]) for n in range(999)])
        commits: list[int] = []
        store.on_committed(lambda events: commits.append(len(events)))
        await store.cancel([chain[0]], "anna", None)
        assert commits == [1_000]
        assert await store.counts() == {("default", "demo.noop", "cancelled"): 1_000}

    async def test_a_fan_of_a_thousand_opens_and_closes(self, store: JobStore) -> None:
        root, *leaves = await submitted(store, request(), *[request(depends_on=["#0"]) for _ in range(1_000)])
        last = await one(store, depends_on=leaves)
        await run(store)
        assert await store.counts() == {
            ("default", "demo.noop", "succeeded"): 1,
            ("default", "demo.noop", "queued"): 1_000,
            ("default", "demo.noop", "waiting"): 1,
        }
        await run(store, limit=999)
        assert await states(store, last) == ["waiting"]
        await run(store)
        assert await states(store, root, last) == ["succeeded", "queued"]

    async def test_a_family_has_one_root(self, store: JobStore) -> None:
        grandparent = await one(store)
        parent = await one(store, parent_id=grandparent)
        child = await one(store, parent_id=parent)
        assert {(await store.job(job_id)).root_id for job_id in (grandparent, parent, child)} == {grandparent}
        assert len(await whole_feed(store)) > 0
