"""Holds the table, the timelines and the statistics against the log, and names every difference.

It runs beside a living system: a job's row and its events are compared at the row's own sequence, counts and statistics at
the position that they stand at. Memory is bounded by a page; the statistics are one delta.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from contracts import strict_json
from contracts.event import Event
from contracts.folding import COMPARED, COMPARED_ATTEMPT, Folded, fold_job
from contracts.job import Attempt, Job
from contracts.schedule import Schedule, fold_schedule
from contracts.statistics import ALL_TIME, Delta, fold, merge
from contracts.times import to_rfc3339
from functions.stores.job_store import JobStore, Waiting
from functions.stores.stats_store import StatsStore

PAGE = 500
READ = 2_000
TRIES = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """`part` is job, attempt, family (what a job waits for), schedule, counts, statistics or log; `about` what differs; `stored` against what the log says."""

    part: str
    about: str
    field: str
    stored: Any
    log: Any
    ids: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.part} {self.about}: {self.field} is {_brief(self.stored)}, but the log says {_brief(self.log)}"

    def as_json(self) -> dict[str, Any]:
        return {"part": self.part, "about": self.about, "field": self.field, "stored": self.stored, "log": self.log, "text": str(self)}


Progress = Callable[[str, int, int], None]
"""What is looked at, how much of it is done, and how much there is."""


def _silent(what: str, done: int, total: int) -> None:
    return None


@dataclass(slots=True)
class Audit:
    """One comparison of `store` and `stats` with the log of `store`."""

    store: JobStore
    stats: StatsStore
    progress: Progress = _silent
    jobs: int = field(default=0, init=False)
    events: int = field(default=0, init=False)

    async def differences(self) -> AsyncIterator[Difference]:
        """Every difference, as it is found; none means that the log, folded, is what is stored (I7)."""
        async for found in self._jobs():
            yield found
        for found in await self._schedules():
            yield found
        async for found in self._figures():
            yield found

    # ---- schedules ----------------------------------------------------------------------------------------------

    async def _schedules(self) -> list[Difference]:
        histories = await self.store.schedules_with_history()
        return [found for name, row, events in histories for found in compare_schedule(name, row, events)]

    # ---- jobs and attempts --------------------------------------------------------------------------------------

    async def _jobs(self) -> AsyncIterator[Difference]:
        total = sum((await self.store.counts()).values())
        after = 0
        while True:
            page = await self.store.jobs_with_history(after, PAGE)
            if not page:
                break
            for number, job, events, attempts in page:
                after = number
                for found in compare_job(job, events, attempts):
                    yield found
            for found in await self._families([job for _, job, _, _ in page]):
                yield found
            self.jobs += len(page)
            self.progress("jobs", self.jobs, max(total, self.jobs))

    async def _families(self, jobs: Sequence[Job]) -> list[Difference]:
        """A job that waits for a parent that has ended, or for one whose end nobody would tell it of, would wait for ever."""
        waiting = [job.id for job in jobs if job.status == "waiting"]
        found = [
            Difference("family", job.id, "open_parents", job.open_parents, 0, (job.id,))
            for job in jobs
            if job.open_parents and job.status != "waiting"
        ]
        return found + [difference for job in (await self.store.waiting(waiting) if waiting else ()) for difference in compare_family(job)]

    # ---- counts and statistics ----------------------------------------------------------------------------------

    async def _figures(self) -> AsyncIterator[Difference]:
        """Retention may move what is added up meanwhile: then it is added up again."""
        for _ in range(TRIES):
            before = await self.store.checkpoint()
            counted_at, counts = await self.store.counted()
            folded_at, stored = await self.stats.whole()
            sums = before.sums if before is not None else Delta()
            expected, states, strays = await self._added_up(sums, counted_at, folded_at)
            after = await self.store.checkpoint()
            if (before is None) == (after is None) and (before is None or after is None or before.jobs == after.jobs):
                break
        else:
            yield Difference("log", "retention", "checkpoint", "moving", "the figures were not compared: jobs were dropped all the while; try again")
            return
        pruned = await self.store.pruned_states()
        present = {state: jobs - pruned.get(state, 0) for state, jobs in states.items() if jobs != pruned.get(state, 0)}
        for found in strays:
            yield found
        for found in _compare("counts", "counts", {k: v for k, v in counts.items() if v}, present):
            yield found
        if before is None or folded_at >= before.position:  # else they begin anew at the checkpoint with the next fold
            for found in self._statistics(stored, expected):
                yield found

    @staticmethod
    def _statistics(stored: Delta, expected: Delta) -> list[Difference]:
        """Minutes that the statistics do not keep any more are passed over; their sums since the beginning are not."""
        first = min((key[0] for key in stored.sums if key[0] != ALL_TIME), default=1 << 62)
        found = _compare("statistics", "states", stored.states, expected.states)
        for part in ("sums", "buckets"):
            kept = {k: v for k, v in getattr(expected, part).items() if k[0] == ALL_TIME or k[0] >= first}
            found += _compare("statistics", part, getattr(stored, part), kept)
        return found

    async def _added_up(self, sums: Delta, counted_at: int, folded_at: int) -> tuple[Delta, Mapping[Any, int], list[Difference]]:
        """The fold of the log up to where the statistics stand, the states up to where the counts do, and strays."""
        at_fold, at_count = Delta(), Delta()
        strays: list[Difference] = []
        after, end = 0, max(counted_at, folded_at)
        while after < end and (events := await self.store.feed(after, READ)):
            after = events[-1].position
            at_fold = merge(at_fold, fold(event for event in events if event.position <= folded_at))
            at_count = merge(at_count, Delta(fold(event for event in events if event.position <= counted_at).states))
            strays += await self._strays(events)
            self.events += len(events)
            self.progress("events", min(after, end), end)
        return merge(sums, at_fold), merge(Delta(sums.states), at_count).states, strays

    async def _strays(self, events: list[Event]) -> list[Difference]:
        """Jobs that were accepted and have no row."""
        accepted = [(event.subject or "")[4:] for event in events if event.type.endswith("job.accepted.v1")]
        missing = await self.store.missing(accepted) if accepted else []
        return [Difference("job", job_id, "row", "missing", "accepted", (job_id,)) for job_id in missing]


def compare_job(job: Job, events: list[Event], attempts: list[Attempt]) -> list[Difference]:
    """A job's row and attempts against its events up to the row's sequence."""
    folded = fold_job(event.document for event in events)
    found = [Difference("log", f"job/{job.id}", "stream", "broken", fault, (job.id,)) for fault in folded.faults]
    if folded.job is None:
        return found or [Difference("job", job.id, "events", "a row", "nothing", (job.id,))]
    for name in COMPARED:
        stored, told = getattr(job, name), getattr(folded.job, name)
        if stored != told:
            found.append(Difference("job", job.id, name, _shown(name, stored), _shown(name, told), (job.id,)))
    if (job.lease_until is None) == (job.status == "running"):  # until when is no part of the log; whether there is one is
        told = "running, so under a lease" if job.status == "running" else None
        found.append(Difference("job", job.id, "lease_until", _shown("lease_at", job.lease_until), told, (job.id,)))
    return found + _compare_attempts(job, folded, attempts)


def compare_family(job: Waiting) -> list[Difference]:
    """What a job waits for against what its parents' events tell."""
    if job.open_parents != len(job.open):
        return [Difference("family", job.job_id, "open_parents", job.open_parents, len(job.open), (job.job_id,))]
    if set(job.told_by) != set(job.open):
        return [Difference("family", job.job_id, "waits_for", sorted(job.told_by), sorted(job.open), (job.job_id,))]
    return [] if job.open else [Difference("family", job.job_id, "status", "waiting", "its parents have ended", (job.job_id,))]


def compare_schedule(name: str, row: Schedule | None, events: list[Event]) -> list[Difference]:
    """A schedule's row against its events."""
    told = fold_schedule(event.document for event in events)
    if row is None or told is None:
        if row is told:
            return []
        return [Difference("schedule", name, "row", "missing" if row is None else "there", "gone" if told is None else "there", (name,))]
    return [
        Difference("schedule", name, field.name, _shown(field.name, getattr(row, field.name)), _shown(field.name, getattr(told, field.name)), (name,))
        for field in fields(Schedule)
        if getattr(row, field.name) != getattr(told, field.name)
    ]


def _compare_attempts(job: Job, folded: Folded, attempts: list[Attempt]) -> list[Difference]:
    found: list[Difference] = []
    stored = {attempt.lease_token: attempt for attempt in attempts if attempt.outcome != "running"}
    told = {token: attempt for token, attempt in folded.attempts.items() if attempt.outcome != "running"}
    for token in sorted({*stored, *told}):
        about = f"{job.id} under lease {token}"
        if token not in stored or token not in told:
            found.append(Difference("attempt", about, "row", "missing" if token not in stored else "there", "told" if token in told else "nothing",
                                    (job.id, token)))  # fmt: skip
            continue
        for name in COMPARED_ATTEMPT:
            kept, said = getattr(stored[token], name), getattr(told[token], name)
            if kept != said and not (name == "error" and told[token].outcome == "cancelled"):  # the log tells of a cancel no error
                found.append(Difference("attempt", about, name, _shown(name, kept), _shown(name, said), (job.id, token)))
    return found


def _compare(part: str, about: str, stored: Mapping[Any, int], expected: Mapping[Any, int]) -> list[Difference]:
    return [
        Difference(part, about, " ".join(str(cell) if cell != "" else "-" for cell in key), stored.get(key, 0), expected.get(key, 0), key)
        for key in sorted({*stored, *expected}, key=str)
        if stored.get(key, 0) != expected.get(key, 0)
    ]


def _shown(name: str, value: Any) -> Any:
    """A payload may hold secrets, also in a template, so of these only a digest is told."""
    if name in ("payload", "template"):
        return f"sha256:{hashlib.sha256(strict_json.dumps(value)).hexdigest()[:16]}"
    return to_rfc3339(value) if name.endswith("_at") and isinstance(value, int) else value


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
