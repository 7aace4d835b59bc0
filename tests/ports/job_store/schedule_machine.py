"""Schedules as a rule-based state machine: any wishes, ticks, crashes and hours of sleep in any order, against a small model.

The model counts due times by itself: every schedule here is a grid of seconds (a cron expression of every minute, too).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts.errors import Conflict, ScheduleNotFound
from contracts.schedule import FIRINGS_AT_ONCE, ScheduleSpec
from contracts.times import from_rfc3339
from functions.stores.audit import Audit
from functions.stores.job_store import JobStore
from functions.stores.moves import Ending
from tests.ports.job_store.machine import Bench
from tests.ports.job_store.schedules import NOOP, resolve
from tests.ports.job_store.steps import SECOND, short

NAMES = ("a", "b", "demo.noop")
ON_TIME = 60 * SECOND
WISHES = st.fixed_dictionaries({
    "every": st.sampled_from([1, 7, 60, 3_600, None]),  # None: cron, every minute
    "overlap": st.sampled_from(["skip", "queue"]),
    "misfires": st.sampled_from(["one", "all", "none"]),
    "paused": st.sampled_from([None, None, None, True, False]),
})  # fmt: skip


@dataclass(slots=True)
class Expected:
    """A schedule as it must be."""

    every: int | None
    overlap: str
    misfires: str
    anchor: int
    by: str
    paused: bool = False
    next_at: int | None = None
    last_job: str | None = None

    @property
    def step(self) -> int:
        return (self.every or 60) * SECOND

    def after(self, instant: int) -> int:
        anchor = self.anchor if self.every is not None else 0
        return anchor + ((instant - anchor) // self.step + 1) * self.step


@dataclass(slots=True)
class Seen:
    """What a tick did to one schedule: due times that fired, and how many were skipped by which rule."""

    fired: list[int] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)


class ScheduleMachine(RuleBasedStateMachine):
    """`machines.over` says by `make_bench` where it runs."""

    make_bench: Callable[[], Bench]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.bench = self.make_bench()
        self.there: dict[str, Expected] = {}
        self.live: set[str] = set()
        self.store, self.stats = self.run(self.bench.open())
        self.run(self.store.declare_queues([("default", None, None, False)]))

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    # ---- wishes -------------------------------------------------------------------------------------------------

    @initialize(wish=WISHES)
    def begin(self, wish: dict[str, Any]) -> None:
        self.put("a", wish)

    @rule(name=st.sampled_from(NAMES), wish=WISHES)
    def put(self, name: str, wish: dict[str, Any]) -> None:
        known = self.there.get(name)
        try:
            self.run(self.store.put_schedule(name, self._spec(wish), "anna"))
        except Conflict:
            assert known is not None and known.by == "code"
            return
        assert known is None or known.by == "person"
        self._expect(name, wish, "person")

    @staticmethod
    def _spec(wish: dict[str, Any]) -> ScheduleSpec:
        timing = {"cron": "* * * * *"} if wish["every"] is None else {"every_seconds": wish["every"]}
        return ScheduleSpec(NOOP, overlap=wish["overlap"], misfires=wish["misfires"], paused=wish["paused"], **timing)

    def _expect(self, name: str, wish: dict[str, Any], by: str) -> None:
        known, now = self.there.get(name), self.bench.now()
        same = known is not None and known.every == wish["every"]
        paused = wish["paused"] if wish["paused"] is not None else known is not None and known.paused
        schedule = Expected(wish["every"], wish["overlap"], wish["misfires"], known.anchor if known and same else now, by, bool(paused))
        if not paused:
            schedule.next_at = known.next_at if known and same and known.next_at is not None else schedule.after(now)
        schedule.last_job = known.last_job if known else None
        self.there[name] = schedule

    @rule(wish=st.none() | WISHES)
    def start_with_code(self, wish: dict[str, Any] | None) -> None:
        """A start whose code declares `demo.noop`, or nothing."""
        declared = {} if wish is None else {"demo.noop": self._spec(wish | {"paused": None})}
        self.run(self.store.declare_schedules(declared))
        known = self.there.get("demo.noop")
        if wish is not None and (known is None or known.by == "code"):
            self._expect("demo.noop", wish | {"paused": None}, "code")
        elif wish is None and known is not None and known.by == "code":
            del self.there["demo.noop"]

    @rule(name=st.sampled_from(NAMES), paused=st.booleans())
    def pause(self, name: str, paused: bool) -> None:
        known = self.there.get(name)
        try:
            self.run(self.store.pause_schedule(name, paused, "berta", None))
        except ScheduleNotFound:
            assert known is None
            return
        assert known is not None
        if known.paused != paused:
            known.paused, known.next_at = paused, None if paused else known.after(self.bench.now())

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        known = self.there.get(name)
        try:
            self.run(self.store.delete_schedule(name, "anna", None))
        except (ScheduleNotFound, Conflict) as error:
            assert (known is None) == isinstance(error, ScheduleNotFound)
            return
        assert known is not None and known.by == "person"
        del self.there[name]

    @rule(name=st.sampled_from(NAMES))
    def run_now(self, name: str) -> None:
        if name in self.there:
            answer = self.run(self.store.run_schedule(name, resolve, "anna"))
            assert answer.created
            self.there[name].last_job = answer.id
            self.live.add(answer.id)

    # ---- time ---------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0, 1, 5, 59, 60, 61, 600, 2_000, 86_400]))
    def sleep(self, seconds: int) -> None:
        self.bench.pass_seconds(seconds)

    @rule(ticks=st.integers(1, 4), limit=st.sampled_from([2, 500]))
    def tick(self, ticks: int, limit: int) -> None:
        """Several at once, then on until nothing is left: each due time is dealt with once."""
        before, expected = self.run(self.store.head()), {name: self._due(schedule) for name, schedule in self.there.items()}
        self.run(self._ticks(ticks, limit))
        seen: dict[str, Seen] = {name: Seen() for name in self.there}
        for event in self.run(self.store.feed(before, 100_000)):
            if (event.subject or "").startswith("schedule/"):
                self._take(seen[event.data["name"]], event)
        assert seen == expected

    async def _ticks(self, ticks: int, limit: int) -> None:
        await asyncio.gather(*(self.store.tick(resolve=resolve, limit=limit) for _ in range(ticks)))
        while (await self.store.tick(resolve=resolve, limit=limit)).more:
            pass

    def _take(self, seen: Seen, event: Any) -> None:
        schedule, data = self.there[event.data["name"]], event.data
        if short(event) == "fired":
            seen.fired.append(from_rfc3339(data["due_at"]))
            schedule.last_job = data["job_id"]
            self.live.add(data["job_id"])
        else:
            seen.skipped[data["reason"]] = seen.skipped.get(data["reason"], 0) + (-1 if data.get("more") else data.get("count", 1))

    def _due(self, schedule: Expected) -> Seen:
        """What a tick must do now; `next_at` moves on."""
        now, seen = self.bench.now(), Seen()
        if schedule.next_at is None or schedule.next_at > now:
            return seen
        first, count = schedule.next_at, (now - schedule.next_at) // schedule.step + 1
        schedule.next_at = first + count * schedule.step
        kept = min(count, FIRINGS_AT_ONCE) if schedule.misfires == "all" else 1
        dues = [first + number * schedule.step for number in range(count - kept, count)]
        if schedule.misfires == "none" and now - dues[-1] > ON_TIME:
            dues = []
        if missed := count - len(dues):
            seen.skipped["misfire"] = missed if count <= 1_000 + kept + 1 else -1
        if schedule.overlap == "skip" and dues:
            fires = 0 if schedule.last_job in self.live else 1
            if len(dues) > fires:
                seen.skipped["overlap"] = len(dues) - fires
            dues = dues[:fires]
        seen.fired = dues
        return seen

    @rule(limit=st.integers(1, 50))
    def work(self, limit: int) -> None:
        jobs = self.run(self.store.claim("default", limit, worker="worker", instance="instance", lease_seconds=10**6))
        self.run(self.store.end_attempts([Ending(job.id, job.lease_token, "succeeded", ran_micros=5) for job in jobs]))
        self.live -= {job.id for job in jobs}

    @rule()
    def crash(self) -> None:
        self.store, self.stats = self.run(self.bench.crash())

    # ---- always -------------------------------------------------------------------------------------------------

    @invariant()
    def the_table_is_the_model(self) -> None:
        page = self.run(self.store.schedules(10, None))
        assert {s.name: (s.paused, s.next_at, s.last_job_id, s.declared_by) for s in page.items} == {
            name: (s.paused, s.next_at, s.last_job, s.by) for name, s in self.there.items()
        }

    def teardown(self) -> None:
        try:
            assert self.run(_schedule_faults(self.store, self.stats)) == []
            self.run(self.store.close())
            assert self.run(self.bench.violations()) == []
        finally:
            self.run(self.bench.close())
            self.runner.close()


async def _schedule_faults(store: JobStore, stats: Any) -> list[str]:
    return [str(found) async for found in Audit(store, stats).differences() if found.part in ("schedule", "job", "counts", "log")]
