"""The life of jobs as a rule-based state machine: anything in any order against the model, over any store.

After each step the answer and the counts must be the model's; at the end the whole table must be, and the log, the table,
the timelines and the statistics must agree (I1 to I18, as far as a store alone can keep or break them).
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.errors import ObservatoryError
from contracts.job import JobRequest
from contracts.statistics import fold
from functions.metrics_engine.service import MetricsEngine
from functions.runtime.bulk import again
from functions.stores.audit import Audit
from functions.stores.job_store import PUBLISH_CURSOR, STATISTICS_CURSOR, JobStore, Submitted
from functions.stores.moves import Ending
from functions.stores.retention import Retention
from functions.stores.stats_store import StatsStore
from tests.ports.job_store.model import BACKOFF, ENDED, SECOND, Model

QUEUES = [("default", None, None, False), ("bulk", 2, None, False)]
TYPES = ("demo.noop", "demo.fail")
ERROR = {"type": "ValueError", "message": "no", "traceback": None}
LEASE = 15
PRUNE_ALL = Retention({"succeeded": 0, "failed": 0, "cancelled": 0}, batch=5)


class Bench(Protocol):
    """Where the machine runs: a store with its statistics, a clock that is moved by hand, a wall clock that lies."""

    def now(self) -> int: ...
    def pass_seconds(self, seconds: float) -> None: ...
    def skew(self, seconds: float) -> None:
        """Sets the wall clock so far off."""

    async def open(self) -> tuple[JobStore, StatsStore]: ...
    async def crash(self) -> tuple[JobStore, StatsStore]:
        """Pulls the plug: what was answered is there, what was not may be; then opens anew."""

    async def violations(self) -> list[str]:
        """What an independent checker finds in the data, after the store was closed."""

    async def close(self) -> None: ...


REQUEST = st.fixed_dictionaries(
    {
        "type": st.sampled_from(TYPES), "queue": st.sampled_from(["default", "default", "bulk"]), "priority": st.integers(0, 9),
        "max_attempts": st.integers(1, 3),
    },
    optional={
        "delay": st.sampled_from([-1, 1, 5, 60]), "expires": st.sampled_from([1, 10, 100]), "unique_key": st.sampled_from("ab"),
        "key": st.integers(0, 5), "mark": st.integers(0, 1), "parents": st.lists(st.integers(0, 9), max_size=3),
        "on_parent_failure": st.sampled_from(["cancel", "run"]), "parent": st.integers(0, 9), "before": st.booleans(),
    },
)  # fmt: skip


class LifeMachine(RuleBasedStateMachine):
    """`machines.over` says by `make_bench` where it runs."""

    make_bench: Callable[[], Bench]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.bench = self.make_bench()
        self.model = Model()
        self.model.limits = {name: limit for name, limit, _, _ in QUEUES if limit is not None}
        self.leases: list[tuple[str, int]] = []  # every claim there ever was
        self.ids: list[str] = []
        self.read: list[int] = []  # positions that a reader of the feed has seen
        self.ran: dict[tuple[str, str], int] = {}  # steps: how often their effect was committed

        self.store, self.stats = self.run(self._open())

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    async def _open(self) -> tuple[JobStore, StatsStore]:
        store, stats = await self.bench.open()
        await store.declare_queues(QUEUES)
        return store, stats

    @initialize(wishes=st.lists(REQUEST, min_size=2, max_size=6))
    def begin_with_some_jobs(self, wishes: list[dict[str, Any]]) -> None:
        self.submit(wishes)

    # ---- submitting ---------------------------------------------------------------------------------------------

    @rule(wishes=st.lists(REQUEST, min_size=1, max_size=4))
    def submit(self, wishes: list[dict[str, Any]]) -> None:
        now = self.bench.now()
        plain = [self._wish(wish, index, now) for index, wish in enumerate(wishes)]
        answers = self.run(self.store.submit([self._request(wish) for wish in plain]))
        fresh = [answer.id if isinstance(answer, Submitted) and answer.created else None for answer in answers]
        expected = self.model.submit(now, plain, fresh)
        assert [_answer(answer) for answer in answers] == expected
        self.ids += [job_id for job_id in fresh if job_id is not None]

    def _wish(self, wish: dict[str, Any], index: int, now: int) -> dict[str, Any]:
        plain = {name: value for name, value in wish.items() if name in ("type", "queue", "priority", "max_attempts", "unique_key", "on_parent_failure")}
        if "delay" in wish:
            plain["run_at"] = now + wish["delay"] * SECOND
        if "expires" in wish:
            plain["expires_at"] = now + wish["expires"] * SECOND
        if "key" in wish:
            plain |= {"key": f"key:{wish['key']}", "fingerprint": bytes([wish.get("mark", 0)])}
        parents = [self._id(number) for number in wish.get("parents", ())] + ([f"#{index - 1}"] if wish.get("before") and index else [])
        if parents:
            plain["depends_on"] = list(dict.fromkeys(parents))
        if "parent" in wish:
            plain["parent_id"] = self._id(wish["parent"])
        return plain

    def _id(self, number: int) -> str:
        """One of the last ids; of 9, one that nobody has."""
        return self.ids[-1 - number % len(self.ids)] if self.ids and number < 9 else "00000000-0000-7000-8000-000000000000"

    @staticmethod
    def _request(wish: dict[str, Any]) -> JobRequest:
        options = {name: value for name, value in wish.items() if name not in ("type", "key", "fingerprint")}
        keys = (wish["key"],) if "key" in wish else ()
        return JobRequest(wish["type"], {"n": 1}, backoff=dict(BACKOFF), keys=keys, fingerprint=wish.get("fingerprint", b""), **options)

    # ---- running ------------------------------------------------------------------------------------------------

    @rule(queue=st.sampled_from(["default", "default", "bulk"]), limit=st.integers(1, 4), passed_over=st.sampled_from([(), (), (), *[(t,) for t in TYPES]]))
    def claim(self, queue: str, limit: int, passed_over: tuple[str, ...] = ()) -> None:
        now = self.bench.now()
        jobs = self.run(self.store.claim(queue, limit, worker="worker", instance="instance", lease_seconds=LEASE, except_types=passed_over))
        assert [job.id for job in jobs] == self.model.claim(now, queue, limit, LEASE * SECOND, passed_over)
        for job in jobs:
            assert (job.attempt, job.lease_token) == (self.model.jobs[job.id].attempt, self.model.jobs[job.id].token)
            self.leases.append((job.id, job.lease_token))

    @rule(outcomes=st.lists(st.sampled_from(["succeeded", "failed", "permanent", "snoozed", None]), min_size=1, max_size=4))
    def work(self, outcomes: list[str | None]) -> None:
        """Claims so many, and ends some of them one after the other."""
        before = len(self.leases)
        self.claim("default", len(outcomes))
        for lease, outcome in zip(self.leases[before:], outcomes, strict=False):
            if outcome is not None:
                self._finish(lease, outcome, None)

    def _held(self) -> list[tuple[str, int]]:
        return [lease for lease in self.leases if self.model.holds(*lease)]

    def _lease(self, number: int) -> tuple[str, int]:
        """One of the leases that are held, the last ones first."""
        held = self._held()
        return held[-1 - number % len(held)]

    @precondition(lambda self: self._held())
    @rule(number=st.integers(0, 7), outcome=st.sampled_from(["succeeded", "succeeded", "failed", "failed", "permanent", "timed_out", "worker_died", "snoozed"]),
          after=st.sampled_from([None, None, 0.0, 3.0]))  # fmt: skip
    def finish(self, number: int, outcome: str, after: float | None) -> None:
        self._finish(self._lease(number), outcome, after)

    def _finish(self, lease: tuple[str, int], outcome: str, after: float | None) -> None:
        assert isinstance(self._end(lease, outcome, after), str)
        self.model.finish(self.bench.now(), lease[0], outcome, after)

    def _end(self, lease: tuple[str, int], outcome: str, after: float | None = None) -> str | ObservatoryError:
        error = None if outcome in ("succeeded", "snoozed") else ERROR
        (answer,) = self.run(self.store.end_attempts([Ending(*lease, outcome, ran_micros=5, error=error, after_seconds=after)]))
        return answer  # type: ignore[no-any-return]

    @precondition(lambda self: self._held())
    @rule(outcome=st.sampled_from(["succeeded", "failed"]))
    def leases_are_lost_and_others_take_over(self, outcome: str) -> None:
        """Nobody renews; the jobs are rescued, wait for their backoff, and are claimed again; then the first workers come back."""
        self.time_passes(LEASE + 1, 0)
        self.time_passes(BACKOFF["maximum_seconds"], 0)
        self.claim("default", 4)
        self.zombies_come_back(outcome)

    @rule(outcome=st.sampled_from(["succeeded", "failed"]))
    def zombies_come_back(self, outcome: str) -> None:
        """Whoever does not hold the lease any more changes nothing, whatever has become of the job (I8)."""
        for lease in [lease for lease in self.leases if not self.model.holds(*lease)][-5:]:
            assert isinstance(self._end(lease, outcome), ObservatoryError)
            assert isinstance(self._dare(self.store.effect(*lease, "a", 9)), ObservatoryError)
            assert isinstance(self._dare(self.store.progress(*lease, {"fraction": 0.9, "message": None})), ObservatoryError)
            assert self.run(self.store.release([lease], "drain")) == 0
            assert [found.state for found in self.run(self.store.renew([lease], LEASE))] == ["lost"]

    @precondition(lambda self: self._held())
    @rule(numbers=st.lists(st.integers(0, 7), min_size=1, max_size=3, unique=True))
    def renew(self, numbers: list[int]) -> None:
        leases = list(dict.fromkeys(self._lease(number) for number in numbers))
        for answer, (job_id, _) in zip(self.run(self.store.renew(leases, LEASE)), leases, strict=True):
            assert answer.state == ("cancelling" if self.model.jobs[job_id].cancelling else "held")
            self.model.jobs[job_id].lease_until = self.bench.now() + LEASE * SECOND

    @precondition(lambda self: self._held())
    @rule()
    def drain(self) -> None:
        """A processor stops: every lease goes back at once, and no attempt is counted."""
        held = self._held()
        assert self.run(self.store.release(held, "drain")) == len(held)
        for job_id, _ in held:
            self.model.give_back(self.bench.now(), job_id, None)

    @precondition(lambda self: self._held())
    @rule(number=st.integers(0, 7), step=st.sampled_from("ab"), value=st.integers(0, 3))
    def once(self, number: int, step: str, value: int) -> None:
        """A step is done, and done again with another value: the first one stands."""
        job_id, token = self._lease(number)
        for attempt in (value, value + 1):
            answer = self.run(self.store.effect(job_id, token, step, attempt))
            assert answer == self.model.jobs[job_id].effects.setdefault(step, attempt)

    @precondition(lambda self: self._held())
    @rule(number=st.integers(0, 7))
    def progress(self, number: int) -> None:
        self.run(self.store.progress(*self._lease(number), {"fraction": 0.5, "message": None}))

    def _dare(self, work: Any) -> Any:
        try:
            return self.run(work)
        except ObservatoryError as error:
            return error

    # ---- wishes -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 9))
    def cancel(self, number: int) -> None:
        (answer,) = self.run(self.store.cancel([self._id(number)], "eva", None))
        assert isinstance(answer, ObservatoryError) != self.model.cancel(self.bench.now(), self._id(number))

    @precondition(lambda self: any(job.status in ("failed", "cancelled") for job in self.model.jobs.values()))
    @rule(number=st.integers(0, 9))
    def retry(self, number: int) -> None:
        over = [job.id for job in self.model.jobs.values() if job.status in ("failed", "cancelled")]
        job_id = over[-1 - number % len(over)] if number % 2 else self._id(number)
        (answer,) = self.run(self.store.reopen([job_id], "eva", None))
        assert isinstance(answer, ObservatoryError) != self.model.reopen(self.bench.now(), job_id)

    @precondition(lambda self: self.ids)
    @rule(number=st.integers(0, 9))
    def rerun(self, number: int) -> None:
        """A person has an ended job run again as a new one."""
        job = self.model.jobs.get(self._id(number))
        if job is None:
            assert isinstance(self._dare(self.store.job(self._id(number))), ObservatoryError)
            return
        stored = self.run(self.store.job(job.id))
        if job.status not in ENDED:
            with pytest.raises(ObservatoryError):
                again(stored, "eva")
            return
        (answer,) = self.run(self.store.submit([again(stored, "eva")]))
        assert isinstance(answer, Submitted) and answer.created
        wish = {"type": job.type, "queue": job.queue, "priority": job.priority, "max_attempts": job.max_attempts, "parent_id": job.id}
        assert self.model.submit(self.bench.now(), [wish], [answer.id]) == [_answer(answer)]
        self.ids.append(answer.id)

    @rule(queue=st.sampled_from(["default", "bulk"]), paused=st.sampled_from([False, False, True]))
    def pause_or_resume(self, queue: str, paused: bool) -> None:
        self.run(self.store.set_paused(queue, paused, "eva", None))
        (self.model.paused.add if paused else self.model.paused.discard)(queue)

    # ---- time, plugs, retention ---------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0, 0.5, 2, 16, 16, 100]), jump=st.sampled_from([0, 0, -3_600, 3_600]))
    def time_passes(self, seconds: float, jump: float) -> None:
        """Time by the store's clock, and now and then a leap of the wall clock; then a tick."""
        self.bench.pass_seconds(seconds)
        if jump:
            self.bench.skew(jump)
        self.tick()

    @rule(seconds=st.sampled_from([0.5, 2, 16]))
    def wait(self, seconds: float) -> None:
        self.bench.pass_seconds(seconds)

    @rule(what=st.sampled_from(["crash", "crash", "follow", "fold", "prune", "replay"]))
    def meanwhile(self, what: str) -> None:
        """One rule for all of these, so that jobs get most of the steps."""
        {"crash": self.plug_is_pulled, "follow": self.follow_the_feed, "fold": self.fold_statistics, "prune": self.prune, "replay": self.replay}[what]()

    def tick(self) -> None:
        tick = self.run(self.store.tick())
        assert (tick.released, tick.rescued, tick.expired) == self.model.tick(self.bench.now())

    def plug_is_pulled(self) -> None:
        self.store, self.stats = self.run(self.bench.crash())
        self.run(self.store.tick(rescue_all=True))
        self.model.tick(self.bench.now(), rescue_all=True)

    def follow_the_feed(self) -> None:
        events = self.run(self.store.feed(self.read[-1] if self.read else 0, 17))
        self.read += [event.position for event in events]

    def fold_statistics(self) -> None:
        async def catch_up() -> None:
            after = await self.stats.cursor()
            while events := await self.store.feed(after, 500):
                assert await self.stats.apply(fold(events), after, events[-1].position)
                after = events[-1].position
            await asyncio.gather(*(self.store.advance(cursor, after) for cursor in (PUBLISH_CURSOR, STATISTICS_CURSOR)))

        self.run(catch_up())

    def replay(self) -> None:
        """The statistics are lost and made anew from the log (and the checkpoint); what is stored is what the log, folded, says."""

        async def replayed() -> list[str]:
            await self.stats.clear()
            await MetricsEngine(self.store, self.stats).catch_up()
            return [str(found) async for found in Audit(self.store, self.stats).differences()]

        assert self.run(replayed()) == []

    def prune(self) -> None:
        self.fold_statistics()

        async def prune_all() -> int:
            jobs, more = 0, True
            while more:
                done = await self.store.prune(PRUNE_ALL)
                jobs, more = jobs + done.jobs, done.more
            return jobs

        assert self.run(prune_all()) == self.model.prune()

    # ---- what must hold -----------------------------------------------------------------------------------------

    @invariant()
    def counts_are_the_models(self) -> None:
        counts = {cell: jobs for cell, jobs in self.run(self.store.counts()).items() if jobs}
        assert counts == Counter((job.queue, job.type, job.status) for job in self.model.jobs.values())

    def teardown(self) -> None:
        try:
            self.run(self._at_the_end())
        finally:
            self.run(self.bench.close())
            self.runner.close()

    async def _at_the_end(self) -> None:
        for job in self.model.jobs.values():
            stored = await self.store.job(job.id)
            seen = (stored.status, stored.attempt, stored.attempts_allowed, stored.lease_token, stored.priority, stored.queue)
            assert seen == (job.status, job.attempt, job.allowed, job.token, job.priority, job.queue), job
            assert (await self.store.effects([job.id])).get(job.id, {}) == job.effects
        feed = [event.position for event in await self.store.feed(0, 100_000)]
        dropped = await self.store.dropped()
        assert set(feed) | set(range(1, dropped + 1)) == set(range(1, await self.store.head() + 1)), "the feed has a gap"
        assert set(self.read) <= set(feed) | set(range(1, dropped + 1))
        assert [str(found) async for found in Audit(self.store, self.stats).differences()] == []
        assert await self.bench.violations() == []


def _answer(answer: Submitted | ObservatoryError) -> tuple[Any, ...]:
    return ("job", answer.id, answer.status, answer.created) if isinstance(answer, Submitted) else ("fault",)
