"""Families: jobs that hang together by `depends_on` or `parent_id`."""

import pytest

from contracts.errors import JobNotFound
from functions.stores.job_store import JobStore, Waiting
from functions.stores.retention import Retention
from tests.ports.job_store.retention import read_on
from tests.ports.job_store.steps import one, request, run, states, submitted


async def ids(store: JobStore, job_id: str, limit: int = 5_000) -> list[str]:
    return [job.id for job in (await store.family(job_id, limit)).jobs]


class Families:
    async def test_a_job_alone_is_its_family(self, store: JobStore) -> None:
        alone, _ = await submitted(store, request(), request())
        family = await store.family(alone, 10)
        assert ([job.id for job in family.jobs], family.complete) == ([alone], True)

    async def test_everybody_has_the_same_family_with_parents_before_children(self, store: JobStore) -> None:
        diamond = await submitted(store, request(), request(depends_on=["#0"]), request(depends_on=["#0"]), request(depends_on=["#1", "#2"]))
        again = await one(store, parent_id=diamond[3])
        await submitted(store, request(), request(depends_on=["#0"]))  # others
        for job_id in (*diamond, again):
            assert await ids(store, job_id) == [*diamond, again]

    async def test_parents_that_had_ended_belong_to_it(self, store: JobStore) -> None:
        first, second = await submitted(store, request(), request())
        await run(store)
        await run(store, "permanent")
        child, broken = await submitted(store, request(depends_on=[first]), request(depends_on=[second, first]))
        assert await ids(store, first) == [first, second, child, broken]
        assert await ids(store, broken) == [first, second, child, broken]

    async def test_its_jobs_come_without_payload_and_result(self, store: JobStore) -> None:
        parent = await one(store, payload={"large": "x" * 1_000})
        child = await one(store, depends_on=[parent], payload={"n": 1})
        await run(store, result={"large": "y" * 1_000})
        family = await store.family(child, 10)
        assert [(job.payload, job.result) for job in family.jobs] == [(None, None), (None, None)]
        assert [(job.status, job.depends_on) for job in family.jobs] == [("succeeded", []), ("queued", [parent])]

    async def test_a_large_one_is_cut_to_the_nearest_and_says_so(self, store: JobStore) -> None:
        chain = await submitted(store, request(), *[request(depends_on=[f"#{n}"]) for n in range(99)])
        family = await store.family(chain[50], 11)
        assert ([job.id for job in family.jobs], family.complete) == (chain[45:56], False)
        assert (await store.family(chain[50], 100)).complete

    async def test_a_thousand_in_a_chain_and_in_a_fan(self, store: JobStore) -> None:
        chain = await submitted(store, request(), *[request(depends_on=[f"#{n}"]) for n in range(999)])
        assert await ids(store, chain[500]) == chain
        root, *leaves = await submitted(store, request(), *[request(depends_on=["#0"]) for _ in range(1_000)])
        last = await one(store, depends_on=leaves)
        assert await ids(store, leaves[7]) == [root, *leaves, last]

    async def test_what_retention_dropped_is_missing_and_breaks_nothing(self, store: JobStore) -> None:
        parent, child, _ = await submitted(store, request(), request(depends_on=["#0"]), request())
        await run(store)
        await read_on(store)
        assert (await store.prune(Retention({"succeeded": 0}))).jobs == 1
        assert await ids(store, child) == [child]
        with pytest.raises(JobNotFound):
            await store.family(parent, 10)

    async def test_what_a_job_waits_for_is_told_from_the_log(self, store: JobStore) -> None:
        first, second, third = await submitted(store, request(priority=9), request(), request())
        before = await one(store, depends_on=[first, second], on_parent_failure="run")
        await run(store, "permanent")
        assert await store.waiting([first, before]) == [Waiting(before, 1, [first, second], [second], [second])]
        await store.reopen([first], "anna", None)
        after = await one(store, depends_on=[first, third])
        both = [Waiting(before, 1, [first, second], [second], [second]), Waiting(after, 2, [first, third], [first, third], [first, third])]
        assert await store.waiting([after, before]) == both
        await run(store)
        await read_on(store)
        assert (await store.prune(Retention({"succeeded": 0}))).jobs == 1
        assert await store.waiting([before, after]) == [both[0], Waiting(after, 1, [first, third], [third], [third])]

    async def test_what_a_job_waits_for_can_be_mended(self, store: JobStore) -> None:
        parent, other = await submitted(store, request(), request())
        child, lost = await submitted(store, request(depends_on=[parent, other]), request(depends_on=[parent]))
        await store.restore_waiting({child: [other], lost: []})
        assert await store.waiting([child, lost]) == [
            Waiting(child, 1, [parent, other], [other], [parent, other]), Waiting(lost, 0, [parent], [], [parent])]  # fmt: skip
        await store.restore_waiting({child: [parent, other], lost: [parent]})
        await run(store)
        assert await states(store, child, lost) == ["waiting", "queued"]

    async def test_whoever_waits_for_nobody_goes_on_as_by_the_end_of_the_last_parent(self, store: JobStore) -> None:
        parent, broken, still = await submitted(store, request(priority=9), request(priority=8), request(run_at=store.now() + 3_600_000_000))
        hanging = await submitted(
            store, request(depends_on=[parent]), request(depends_on=[broken]), request(depends_on=[broken], on_parent_failure="run"),
            request(depends_on=[still]), request(depends_on=["#1"]),
        )  # fmt: skip
        await store.restore_waiting({job_id: [still] for job_id in hanging[:4]})
        await run(store)
        await run(store, "permanent")
        assert await states(store, *hanging) == ["waiting"] * 5
        await store.restore_waiting({job_id: [] for job_id in hanging[:3]})
        parents = {job.job_id: job.parents for job in await store.waiting(hanging)}
        assert await store.free_waiting(parents) == 3
        assert await states(store, *hanging) == ["queued", "cancelled", "queued", "waiting", "cancelled"]
        assert await store.free_waiting(parents) == 0
