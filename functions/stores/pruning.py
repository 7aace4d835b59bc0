"""What a step of retention decides, whatever the store: which of the rows that it looked at go, and what is left of them.

A store reads what these ask for on a reader's connection, for what has ended does not change; its writer only compares, deletes and
adds. Jobs are walked in the order of acceptance, so that no index is kept for it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import orjson

from contracts.event import Event
from contracts.event_types import SCHEDULE_FIRED, SCHEDULE_SKIPPED, full_name
from contracts.statistics import Delta, fold
from functions.stores.job_store import PUBLISH_CURSOR, STATISTICS_CURSOR
from functions.stores.retention import KEY_MICROS, STATUSES, TOLD, Pruned, Retention

WALK = 2_000  # rows looked at in a step
TOLD_TYPES = [full_name(name) for name in TOLD]
OF_SCHEDULES = [SCHEDULE_FIRED, SCHEDULE_SKIPPED]


@dataclass(frozen=True, slots=True)
class Walk:
    """How far the walks have come: over jobs by number, events by position, keys; each begins anew at its end."""

    number: int = 0
    position: int = 0
    key: str = ""


class Ended(NamedTuple):
    """An ended job, as far as dropping it needs to know it."""

    number: int
    id: str
    sequence: int
    queue: str
    type: str
    status: str
    finished_at: int


class Stored(Protocol):
    """An event as a store has it; `position` is None while it has none."""

    @property
    def position(self) -> int | None: ...
    @property
    def stream(self) -> str: ...
    @property
    def time(self) -> int: ...
    @property
    def body(self) -> str: ...


Row = TypeVar("Row", bound=Stored)


@dataclass(frozen=True, slots=True)
class Plan(Generic[Row]):
    """What a step may drop, and where the walks stand after it."""

    jobs: Sequence[Ended]
    told: Sequence[Row]  # events of other streams
    keys: Sequence[tuple[str, str]]  # each with the job that it stood for
    sums: Delta
    position: int
    as_of: int
    walk: Walk
    more: bool
    over: bool

    def __bool__(self) -> bool:
        return bool(self.jobs or self.told or self.keys)


def slowest_reader(cursors: Mapping[str, int]) -> int:
    """The position up to which every reader of the feed has come."""
    return min(cursors.get(PUBLISH_CURSOR, 0), cursors.get(STATISTICS_CURSOR, 0), *cursors.values(), 1 << 62)


def too_many(keep: Retention, ended: int) -> int:
    """How many more jobs have ended than may be kept."""
    return max(ended - keep.most_ended, 0) if keep.most_ended is not None else 0


def old_jobs(found: Sequence[Sequence[Any]], keep: Retention, now: int, after: int, over: int) -> tuple[list[Ended], int, bool]:
    """Of the jobs after number `after`, in order (the fields of Ended, and created_at), those to drop, how far the walk came, and whether
    it came to the end. `over` go though they are young."""
    before = {status: now - micros for status, micros in keep.jobs_micros.items()}
    youngest = max(before.values(), default=-1)
    jobs: list[Ended] = []
    number = after
    for row in found:
        *_, status, finished_at, created_at = row
        if len(jobs) >= keep.batch:
            return jobs, number, False
        if created_at > youngest and over <= len(jobs):
            return jobs, 0, True  # what follows was accepted later still
        number = row[0]
        if status in STATUSES and (over > len(jobs) or finished_at <= before.get(status, -1)):
            jobs.append(Ended(*row[:7]))
    return jobs, number, len(found) < WALK


def old_keys(found: Sequence[tuple[str, str, bool]]) -> tuple[list[tuple[str, str]], str]:
    """Of the idempotency keys that a walk found, with the job of each and whether it is over (its job gone, its day past), those to drop,
    and how far the walk came."""
    return [(key, job_id) for key, job_id, is_over in found if is_over], found[-1][0] if len(found) == WALK else ""


def passed(jobs: Sequence[Ended], events: Sequence[Row], safe: int) -> tuple[list[Ended], list[Row]]:
    """The jobs, and the events of their streams, without those of which a reader still has an event before it."""
    late = {event.stream for event in events if event.position is None or event.position > safe}
    return [job for job in jobs if f"job/{job.id}" not in late], [event for event in events if event.stream not in late]


def plan_of(
    jobs: Sequence[Ended], events: Sequence[Row], told: Sequence[Row], keys: Sequence[tuple[str, str]], walk: Walk, *, at_end: bool, over: int
) -> Plan[Row]:
    """`events` are those of the jobs."""
    dropped = [*events, *told]
    return Plan(
        jobs, told, keys, fold(Event(orjson.loads(event.body)) for event in dropped),
        max((event.position or 0 for event in dropped), default=0), max((event.time for event in dropped), default=0), walk,
        more=not at_end or bool(told) or bool(keys) or over > len(jobs), over=over > len(jobs),
    )  # fmt: skip


# ---- what is left of them -----------------------------------------------------------------------------------------


def still_asked_for(plan: Plan[Any], now: int) -> tuple[list[tuple[str, str, int]], int]:
    """How jobs ended whose keys may still live (id, status, end), and before which end they are forgotten."""
    oldest = now - KEY_MICROS
    return [(job.id, job.status, job.finished_at) for job in plan.jobs if job.finished_at > oldest], oldest


def counted(plan: Plan[Any]) -> Mapping[tuple[str, str, str], int]:
    """How many jobs go by queue, type and status."""
    return Counter((job.queue, job.type, job.status) for job in plan.jobs)


def done(plan: Plan[Any], sequences: Mapping[str, int], told: int, cursors: Mapping[str, int]) -> Pruned | None:
    """What the plan drops; None, and it must not, when meanwhile one of its jobs was reopened, somebody else dropped some of it, or a reader
    that begins anew was set back: by the jobs' sequences, how many of `plan.told` are there, and the readers' cursors, as they are now."""
    if any(sequences.get(job.id) != job.sequence for job in plan.jobs) or told != len(plan.told):
        return None
    if plan.position > slowest_reader(cursors):
        return None
    return Pruned(len(plan.jobs), sum(job.sequence for job in plan.jobs) + len(plan.told), len(plan.keys), plan.more, plan.over)
