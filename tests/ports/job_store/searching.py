"""What every `JobStore` finds: exactly the jobs that `Query.matches` says, by pages that neither skip nor repeat."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import IndexBehind
from contracts.job import Job
from contracts.query import EVERYTHING, Query, parse
from contracts.query.syntax import AllOf, AnyOf, Is, Node, Not
from functions.stores.job_store import JobStore, Submitted
from tests.ports.job_store.steps import Laboratory, claimed, ended, ending, failed, fired, one, request, run, running, submitted
from tests.support.queries import TAGS, TYPES, WORDS, payloads, queries

SHOWN = "all"


def everything_shown(job_type: str, payload: Any) -> Any:
    return payload


async def found(store: JobStore, query: Query | str, limit: int = 500) -> list[str]:
    """The ids of all pages."""
    where = parse(query) if isinstance(query, str) else query
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = await store.jobs(where, limit, cursor)
        assert len(page.items) == limit or page.next_cursor is None
        assert page.indexed_to <= page.head
        ids += [job.id for job in page.items]
        if (cursor := page.next_cursor) is None:
            return ids


class World:
    """Some jobs in all states, and what becomes of them; all from one seed."""

    def __init__(self, store: JobStore, laboratory: Laboratory) -> None:
        self.store, self._laboratory = store, laboratory
        self.ids: list[str] = []
        self.outputs: dict[str, list[str]] = {}

    async def act(self, seed: int, payload: Any) -> None:
        """Something happens to some jobs."""
        dice = random.Random(seed)
        await dice.choice([self._submit, self._submit, self._submit, self._run, self._run, self._wish])(dice, payload)
        self._laboratory.pass_seconds(dice.choice([0, 0.001, 2, 90]))

    async def _submit(self, dice: random.Random, payload: Any) -> None:
        options = {
            "queue": dice.choice(["default", "bulk"]), "tags": dice.sample(TAGS, dice.randint(0, 2)), "max_attempts": dice.randint(1, 3),
            "actor": dice.choice(["anna", "anonymous"]),
        }  # fmt: skip
        if dice.random() < 0.3:
            self.ids.append(await fired(self.store, "every-morning", request(dice.choice(TYPES), payload=payload, **options)))
        options["parent_id"] = dice.choice([None, *self.ids[-5:]])
        answers = await self.store.submit([request(dice.choice(TYPES), payload=payload, **options) for _ in range(dice.randint(1, 4))])
        self.ids += [answer.id for answer in answers if isinstance(answer, Submitted)]

    async def _run(self, dice: random.Random, payload: Any) -> None:
        await self.store.tick()
        for job in await claimed(self.store, dice.randint(1, 6), dice.choice(["default", "bulk"])):
            self._laboratory.pass_seconds(dice.choice([0, 0.0015, 2]))
            outcome = dice.choice(["succeeded", "succeeded", "failed", "permanent", "snoozed", None])
            if outcome is None:  # goes on
                continue
            output = " ".join(dice.choices(WORDS, k=dice.randint(1, 4))) if dice.random() < 0.5 else None
            error = {"type": dice.choice(WORDS), "message": " ".join(dice.choices(WORDS, k=3)), "traceback": dice.choice([None, "alpha Beta"])}
            parts = {"error": error} if outcome in ("failed", "permanent") else {}
            await self.store.end_attempts([ending(job, outcome, output=output, **parts)])
            self.outputs.setdefault(job.id, []).extend([output] if output is not None else [])

    async def _wish(self, dice: random.Random, payload: Any) -> None:
        if self.ids:
            some = dice.choices(self.ids, k=3)
            await (self.store.cancel if dice.random() < 0.5 else self.store.reopen)(some, "anna", None)

    async def fitting(self, query: Query) -> list[str]:
        """What must be found, newest first, by looking at every job."""
        jobs: list[Job] = []
        cursor: str | None = None
        while len(jobs) < len(self.ids):
            page = await self.store.jobs(EVERYTHING, 500, cursor)
            jobs, cursor = jobs + page.items, page.next_cursor
        assert [job.id for job in jobs] == self.ids[::-1]
        return [job.id for job in jobs if query.matches(job, now=self.store.now(), outputs=self.outputs.get(job.id, ()))]


NUMBERED = st.integers(0, 30).map(lambda number: f"#{number}")  # stands for an id of the world


def with_ids(node: Node, ids: list[str]) -> Node:
    """The tree with real ids for numbered ones."""
    if isinstance(node, AllOf | AnyOf):
        return type(node)(tuple(with_ids(part, ids) for part in node.parts))
    if isinstance(node, Not):
        return Not(with_ids(node.part, ids))
    text = getattr(node, "value", None) if isinstance(node, Is) else getattr(node, "text", None)
    if not isinstance(text, str) or not text.startswith("#") or not ids:
        return node
    job_id = ids[-1 - int(text[1:]) % len(ids)]
    return Is(node.field, job_id) if isinstance(node, Is) else type(node)(job_id)


_worlds: dict[int, World] = {}


def world_of(store: JobStore, laboratory: Laboratory) -> World:
    """One world a store: hypothesis runs many examples on it, one after the other."""
    if id(store) not in _worlds:
        _worlds.clear()
        _worlds[id(store)] = World(store, laboratory)
    return _worlds[id(store)]


class Searching:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.integers(0, 10**9), payload=payloads, query=queries(NUMBERED), limit=st.integers(1, 20))
    async def test_a_search_finds_exactly_the_jobs_that_fit(
        self, store: JobStore, laboratory: Laboratory, seed: int, payload: Any, query: Query, limit: int
    ) -> None:
        world = world_of(store, laboratory)
        if not world.ids:
            await store.open_search(everything_shown, SHOWN)
        await world.act(seed, payload)
        where = Query(with_ids(query.root, world.ids))
        fitting = await world.fitting(where)
        assert await found(store, where, limit) == fitting, str(where)
        assert [job_id for job_id, _ in await store.matching(where)] == fitting, str(where)

    async def test_jobs_are_found_by_every_field(self, store: JobStore, laboratory: Laboratory) -> None:
        await store.open_search(everything_shown, SHOWN)
        old = await fired(store, "every-morning", request(payload={"name": "Anna"}, actor="anna", tags=["red", "round"]))
        laboratory.pass_seconds(3_600)
        (job,) = await claimed(store)
        laboratory.pass_seconds(2)
        await ended(store, job, output="wrote 42 rows")
        broken = await failed(store, queue="bulk", job_type="demo.fail", tags=["red"], parent_id=old)
        now = await running(store, job_type="demo.fail")
        laboratory.pass_seconds(5)
        new = await one(store, queue="bulk")
        for query, expected in {
            "": [new, now.id, broken, old],
            f"id:{old},{new},none": [new, old],
            "state:queued,failed": [new, broken],
            "-state:queued,failed": [now.id, old],
            "type:demo.fail": [now.id, broken],
            "queue:bulk state:failed": [broken],
            "tag:red": [broken, old],
            "tag:red tag:round": [old],
            f"parent:{old}": [broken],
            f"root:{old}": [broken, old],
            "schedule:every-morning": [old],
            "actor:anna": [old],
            "-actor:anna": [new, now.id, broken],
            "age>1h": [old],
            "age<1s": [new],
            "age>=5s age<1h": [now.id, broken],
            "duration>=2s": [now.id, old],
            "duration>2s": [now.id],
            "duration<1s": [broken],
            "attempt>=1": [now.id, broken, old],
            "attempt<1": [new],
            "error:ValueError": [broken],
            "error:no": [broken],
            "error:42": [],
            "payload.name:anna": [old],
            '"42 rows" OR valueerror': [broken, old],
            '"wrote 42 rows"': [old],
            '"wrote rows"': [],
            "anna -42": [],
            old: [old],
        }.items():
            assert await found(store, query) == expected, query

    async def test_all_that_fits_is_told_with_its_state(self, store: JobStore) -> None:
        await store.open_search(everything_shown, SHOWN)
        waiting = await one(store, tags=["red"], run_at=store.now() + 3_600_000_000)
        ran = await one(store, tags=["red"])
        await run(store)
        await one(store)
        assert await store.matching(parse("tag:red")) == [(ran, "succeeded"), (waiting, "scheduled")]
        assert len(await store.matching(EVERYTHING)) == 3
        assert await store.matching(parse("tag:none")) == []

    async def test_a_job_is_found_as_it_is_now(self, store: JobStore) -> None:
        """Read your writes: however far an index is behind."""
        await store.open_search(everything_shown, SHOWN)
        (job_id,) = await submitted(store, request(payload={"name": "Zoe"}))
        assert await found(store, "zoe state:queued") == [job_id]
        (job,) = await claimed(store)
        assert await found(store, "zoe state:running") == [job_id] and await found(store, "zoe state:queued") == []
        await ended(store, job, "permanent", error={"type": "Odd", "message": "seven bridges", "traceback": None}, output="eight hills")
        assert await found(store, '"seven bridges" "eight hills" state:failed') == [job_id]
        await store.reopen([job_id], "anna", None)
        assert await found(store, "bridges") == [] and await found(store, "hills") == [job_id]

    async def test_pages_of_a_search_neither_skip_nor_repeat_while_jobs_arrive_and_change(self, store: JobStore, laboratory: Laboratory) -> None:
        await store.open_search(everything_shown, SHOWN)
        ids = await submitted(store, *[request(tags=["odd" if n % 2 else "even"]) for n in range(40)])
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await store.jobs(parse("tag:odd age<1m"), 3, cursor)
            seen += [job.id for job in page.items]
            laboratory.pass_seconds(20)  # ages are those of the first page
            await submitted(store, *[request(tags=["odd"]) for _ in range(2)])
            await run(store, limit=3)
            if (cursor := page.next_cursor) is None:
                break
        assert seen == ids[1::2][::-1]

    async def test_what_may_not_be_seen_cannot_be_searched(self, store: JobStore) -> None:
        def hidden(job_type: str, payload: Any) -> Any:
            return payload | {"key": "[redacted]"} if "key" in payload else payload

        await store.open_search(hidden, "hidden")
        job_id = await one(store, payload={"key": "s3cr3t", "name": "open"})
        for _ in range(2):
            assert await found(store, "open") == [job_id]
            for query in ("s3cr3t", "payload.key:s3cr3t", "-(-s3cr3t)", "-(-payload.key:s3cr3t)"):
                assert await found(store, query) == [], query
            assert await found(store, "-s3cr3t") == [job_id]
            await run(store)

    async def test_payloads_are_not_read_before_it_is_known_what_may_be_seen(self, store: JobStore) -> None:
        job_id = await one(store)
        for query in ("word", "payload.a:1", "-word"):
            with pytest.raises(IndexBehind):
                await found(store, query)
        assert await found(store, "state:queued") == [job_id]

    async def test_a_search_goes_on_after_a_restart_and_under_other_rules(self, store: JobStore, laboratory: Laboratory) -> None:
        await store.open_search(everything_shown, SHOWN)
        first = await one(store, payload={"name": "Anna", "key": "alpha"})
        assert await found(store, "alpha") == [first]
        await store.close()
        store = await laboratory.open()
        try:
            await store.open_search(everything_shown, SHOWN)
            second = await one(store, payload={"name": "Anna", "key": "alpha"})
            assert await found(store, "alpha anna") == [second, first]
            await store.open_search(lambda job_type, payload: {}, "nothing")
            assert await found(store, "alpha") == [] and await found(store, EVERYTHING) == [second, first]
        finally:
            await store.close()
