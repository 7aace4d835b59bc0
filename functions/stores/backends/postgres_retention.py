"""Retention on PostgreSQL: whole ended jobs go with their events, in small steps, into the checkpoint.

A step reads and folds in a reader's snapshot, for what has ended does not change; the writer only locks, compares, deletes and
adds. Jobs are walked in the order of acceptance, so that no index is kept for it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from contracts.event import Event
from contracts.event_types import SCHEDULE_FIRED, SCHEDULE_SKIPPED, full_name
from contracts.statistics import Delta, fold
from functions.stores.backends import postgres_tables as tables
from functions.stores.backends.postgres_database import PostgresDatabase, Snapshot
from functions.stores.backends.postgres_reading import by_state
from functions.stores.backends.postgres_rows import named, packed
from functions.stores.backends.postgres_statements import call
from functions.stores.backends.postgres_transaction import Transaction
from functions.stores.job_store import PUBLISH_CURSOR, STATISTICS_CURSOR
from functions.stores.retention import KEY_MICROS, STATUSES, TOLD, Checkpoint, Pruned, Retention

WALK = 2_000  # rows looked at in a step
_TOLD = [full_name(name) for name in TOLD]
_OF_SCHEDULES = [SCHEDULE_FIRED, SCHEDULE_SKIPPED]


@dataclass(slots=True)
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


class Told(NamedTuple):
    """An event as it is dropped; `position` is None while it has none."""

    commit_id: int
    place: int
    position: int | None
    stream: str
    time: int
    body: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a step may drop, and where the walks stand after it."""

    jobs: list[Ended] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)  # events of other streams
    keys: list[str] = field(default_factory=list)
    sums: Delta = field(default_factory=Delta)
    position: int = 0
    as_of: int = 0
    walk: Walk = field(default_factory=Walk)
    more: bool = False
    over: bool = False

    def __bool__(self) -> bool:
        return bool(self.jobs or self.told or self.keys)


# ---- reading ----------------------------------------------------------------------------------------------------


async def plan(database: PostgresDatabase, keep: Retention, now: int, walk: Walk) -> Plan:
    """What a step may drop. Nothing that a reader of the feed has not passed."""
    async with database.snapshot() as snapshot:
        counts, cursors = await snapshot.ask(call("counts"), call("cursors"))
        ended = sum(jobs for (_, _, status), jobs in by_state(counts).items() if status in STATUSES)
        over = max(ended - keep.most_ended, 0) if keep.most_ended is not None else 0
        safe = _slowest_reader(dict(cursors))
        rows, number, at_end = await _old_jobs(snapshot, keep, now, 0 if over else walk.number, over)
        events = [Told(*row) for row in await snapshot.rows("whole_streams", streams=[f"job/{job.id}" for job in rows])]
        late = {event.stream for event in events if event.position is None or event.position > safe}
        rows = [job for job in rows if f"job/{job.id}" not in late]
        events = [event for event in events if event.stream not in late]
        told, position = await _old_told(snapshot, keep, now, walk.position, safe)
        keys, key = await _old_keys(snapshot, now, walk.key)
    dropped = events + told
    return Plan(
        rows, told, keys, fold(Event(orjson.loads(event.body)) for event in dropped),
        max((event.position or 0 for event in dropped), default=0), max((event.time for event in dropped), default=0),
        Walk(0 if at_end else number, position, key), more=not at_end or bool(told) or bool(keys) or over > len(rows), over=over > len(rows),
    )  # fmt: skip


def _slowest_reader(cursors: dict[str, int]) -> int:
    return min(cursors.get(PUBLISH_CURSOR, 0), cursors.get(STATISTICS_CURSOR, 0), *cursors.values(), 1 << 62)


async def _old_jobs(snapshot: Snapshot, keep: Retention, now: int, after: int, over: int) -> tuple[list[Ended], int, bool]:
    """The next ended jobs to drop, how far the walk came, and whether it came to the end."""
    found = await snapshot.rows("walk_jobs", after=after, limit=WALK)
    before = {status: now - micros for status, micros in keep.jobs_micros.items()}
    youngest = max(before.values(), default=-1)
    rows: list[Ended] = []
    number = after
    for row in found:
        if len(rows) >= keep.batch:
            return rows, number, False
        if row[7] > youngest and over <= len(rows):
            return rows, 0, True  # what follows was accepted later still
        number = row[0]
        status, finished_at = row[5], row[6]
        if status in STATUSES and (over > len(rows) or finished_at <= before.get(status, -1)):
            rows.append(Ended(*row[:7]))
    return rows, number, len(found) < WALK


async def _old_told(snapshot: Snapshot, keep: Retention, now: int, after: int, safe: int) -> tuple[list[Told], int]:
    if keep.others_micros is None:
        return [], 0
    before = now - keep.others_micros
    found = await snapshot.rows("walk_events", after=after, safe=safe, limit=WALK)
    old = [row for row in found if row[4] < before]
    last = await _last_of_schedules(snapshot, sorted({row[3] for row in old if row[5] in _OF_SCHEDULES}))
    places = [{"commit_id": row[0], "place": row[1]} for row in old if row[5] in _TOLD]
    told = [Told(*row) for row in await snapshot.rows("events_at", places=packed(places))] if places else []
    told = [event for event in told if (event.stream, orjson.loads(event.body)["sequence"]) not in last]
    return told, old[-1][2] if len(old) == WALK else 0


async def _last_of_schedules(snapshot: Snapshot, streams: Sequence[str]) -> set[tuple[str, str]]:
    """Stream and sequence of each schedule's last firing and last skip, of which its row is made."""
    rows = await snapshot.rows("last_told", streams=streams, types=_OF_SCHEDULES) if streams else []
    return {(stream, str(sequence)) for stream, _, sequence in rows}


async def _old_keys(snapshot: Snapshot, now: int, after: str) -> tuple[list[str], str]:
    found = await snapshot.rows("walk_keys", before=now - KEY_MICROS, after=after, limit=WALK)
    return [key for key, is_over in found if is_over], found[-1][0] if len(found) == WALK else ""


async def checkpoint(database: PostgresDatabase) -> Checkpoint | None:
    found, *parts = await database.read(call("checkpoint"), *tables.reads(tables.CHECKPOINT))
    if not found:
        return None
    position, as_of, jobs = found[0]
    return Checkpoint(position, as_of, jobs, tables.delta_of(parts))


# ---- writing ----------------------------------------------------------------------------------------------------


async def drop(transaction: Transaction, plan: Plan, now: int) -> Pruned:
    """Drops what was planned, in the transaction at hand; nothing when one of the jobs was reopened meanwhile."""
    ids = sorted(job.id for job in plan.jobs)
    now_there = dict(await transaction.rows("lock_sequences", ids=ids))
    if any(now_there.get(job.id) != job.sequence for job in plan.jobs):
        return Pruned(more=True, over=plan.over)
    _remember(transaction, plan, now)
    await _drop_rows(transaction, plan, ids)
    if plan.keys:
        transaction.add("free_keys", keys=sorted(plan.keys))
    if plan.jobs or plan.told:
        _add_up(transaction, plan)
    return Pruned(len(plan.jobs), sum(job.sequence for job in plan.jobs) + len(plan.told), len(plan.keys), plan.more, plan.over)


def _remember(transaction: Transaction, plan: Plan, now: int) -> None:
    """How jobs ended whose keys may still live."""
    oldest = now - KEY_MICROS
    young = [(job.id, job.status, job.finished_at) for job in plan.jobs if job.finished_at > oldest]
    if young:
        transaction.add("remember_gone", rows=named(("job_id", "status", "finished_at"), young))
    transaction.add("forget_gone", before=oldest)


async def _drop_rows(transaction: Transaction, plan: Plan, ids: list[str]) -> None:
    for name in ("drop_attempts", "drop_effects", "drop_edges_down", "drop_edges_up", "drop_jobs"):
        transaction.add(name, ids=ids)
    if plan.told:
        transaction.add("drop_events", places=packed({"commit_id": event.commit_id, "place": event.place} for event in plan.told))
    rows = await transaction.rows("drop_streams", streams=[f"job/{job_id}" for job_id in ids])
    transaction.add("drop_places", commits=sorted({row[0] for row in rows} | {event.commit_id for event in plan.told}))


def _add_up(transaction: Transaction, plan: Plan) -> None:
    gone = Counter((job.queue, job.type, job.status) for job in plan.jobs)
    if gone:
        transaction.add("lock_placing")
        transaction.add("count_down", rows=named(("queue", "type", "status", "jobs"), [(*cell, jobs) for cell, jobs in sorted(gone.items())]))
    transaction.add("move_checkpoint", position=plan.position, as_of=plan.as_of, jobs=len(plan.jobs))
    tables.add_delta(transaction, tables.CHECKPOINT, plan.sums)


async def drop_settled(transaction: Transaction, before: int, before_minute: int) -> None:
    """Dead letters that somebody settled, counters of refusals and workers from before an instant; the checkpoint's minutes from
    before that minute, while the sums since the beginning stay."""
    transaction.add("drop_settled_letters", before=before)
    transaction.add("drop_told_refusals", minute=before // 60_000_000)
    transaction.add("drop_workers", before=before)
    await transaction.ask(*tables.drop_minutes(tables.CHECKPOINT, before_minute))
