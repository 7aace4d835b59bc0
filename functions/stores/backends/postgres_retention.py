"""Retention on PostgreSQL: whole ended jobs go with their events, in small steps, into the checkpoint.

What goes is decided in `stores/pruning.py`, from one snapshot; the writer locks the jobs before it compares them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from functions.stores import pruning
from functions.stores.backends import postgres_tables as tables
from functions.stores.backends.postgres_database import PostgresDatabase, Snapshot
from functions.stores.backends.postgres_reading import by_state
from functions.stores.backends.postgres_rows import named, packed
from functions.stores.backends.postgres_statements import call
from functions.stores.backends.postgres_transaction import Transaction
from functions.stores.pruning import OF_SCHEDULES, TOLD_TYPES, WALK, Walk
from functions.stores.retention import KEY_MICROS, STATUSES, Checkpoint, Pruned, Retention


class Told(NamedTuple):
    """An event as it is dropped; `position` is None while it has none."""

    commit_id: int
    place: int
    position: int | None
    stream: str
    time: int
    body: str


Plan = pruning.Plan[Told]

# ---- reading ----------------------------------------------------------------------------------------------------


async def plan(database: PostgresDatabase, keep: Retention, now: int, walk: Walk) -> Plan:
    """What a step may drop. Nothing that a reader of the feed has not passed."""
    async with database.snapshot() as snapshot:
        counts, cursors = await snapshot.ask(call("counts"), call("cursors"))
        over = pruning.too_many(keep, sum(jobs for (_, _, status), jobs in by_state(counts).items() if status in STATUSES))
        safe = pruning.slowest_reader(dict(cursors))
        after = 0 if over else walk.number
        found, number, at_end = pruning.old_jobs(await snapshot.rows("walk_jobs", after=after, limit=WALK), keep, now, after, over)
        events_of = [Told(*row) for row in await snapshot.rows("whole_streams", streams=[f"job/{job.id}" for job in found])]
        jobs, events = pruning.passed(found, events_of, safe)
        told, position = await _old_told(snapshot, keep, now, walk.position, safe)
        keys, key = pruning.old_keys(await snapshot.rows("walk_keys", before=now - KEY_MICROS, after=walk.key, limit=WALK))
    return pruning.plan_of(jobs, events, told, keys, Walk(0 if at_end else number, position, key), at_end=at_end, over=over)


async def _old_told(snapshot: Snapshot, keep: Retention, now: int, after: int, safe: int) -> tuple[list[Told], int]:
    if keep.others_micros is None:
        return [], 0
    before = now - keep.others_micros
    found = await snapshot.rows("walk_events", after=after, safe=safe, limit=WALK)
    old = [row for row in found if row[4] < before]
    last = await _last_of_schedules(snapshot, sorted({row[3] for row in old if row[5] in OF_SCHEDULES}))
    places = [{"commit_id": row[0], "place": row[1]} for row in old if row[5] in TOLD_TYPES]
    told = [Told(*row) for row in await snapshot.rows("events_at", places=packed(places))] if places else []
    told = [event for event in told if (event.stream, orjson.loads(event.body)["sequence"]) not in last]
    return told, old[-1][2] if len(old) == WALK else 0


async def _last_of_schedules(snapshot: Snapshot, streams: Sequence[str]) -> set[tuple[str, str]]:
    """Stream and sequence of each schedule's last firing and last skip, of which its row is made."""
    rows = await snapshot.rows("last_told", streams=streams, types=OF_SCHEDULES) if streams else []
    return {(stream, str(sequence)) for stream, _, sequence in rows}


async def checkpoint(database: PostgresDatabase) -> Checkpoint | None:
    found, *parts = await database.read(call("checkpoint"), *tables.reads(tables.CHECKPOINT))
    if not found:
        return None
    position, as_of, jobs = found[0]
    return Checkpoint(position, as_of, jobs, tables.delta_of(parts))


# ---- writing ----------------------------------------------------------------------------------------------------


async def drop(transaction: Transaction, plan: Plan, now: int) -> Pruned:
    """Drops what was planned, in the transaction at hand; nothing when it is not so any more, or another process is dropping."""
    ids = sorted(job.id for job in plan.jobs)
    places = packed({"commit_id": event.commit_id, "place": event.place} for event in plan.told)
    ((alone,),) = await transaction.rows("try_retention")
    if not alone:
        return Pruned(more=True, over=plan.over)
    sequences, ((told,),), cursors = await transaction.ask(call("lock_sequences", ids=ids), call("count_events", places=places), call("cursors"))
    if (done := pruning.done(plan, dict(sequences), told, dict(cursors))) is None:
        return Pruned(more=True, over=plan.over)
    _remember(transaction, plan, now)
    await _drop_rows(transaction, plan, ids, places)
    if plan.keys:
        transaction.add("drop_keys", rows=named(("key", "job_id"), sorted(plan.keys)))
    if plan.jobs or plan.told:
        _add_up(transaction, plan)
    return done


def _remember(transaction: Transaction, plan: Plan, now: int) -> None:
    young, oldest = pruning.still_asked_for(plan, now)
    if young:
        transaction.add("remember_gone", rows=named(("job_id", "status", "finished_at"), young))
    transaction.add("forget_gone", before=oldest)


async def _drop_rows(transaction: Transaction, plan: Plan, ids: list[str], places: str) -> None:
    for name in ("drop_attempts", "drop_effects", "drop_edges_down", "drop_edges_up", "drop_jobs"):
        transaction.add(name, ids=ids)
    if plan.told:
        transaction.add("drop_events", places=places)
    rows = await transaction.rows("drop_streams", streams=[f"job/{job_id}" for job_id in ids])
    transaction.add("drop_places", commits=sorted({row[0] for row in rows} | {event.commit_id for event in plan.told}))


def _add_up(transaction: Transaction, plan: Plan) -> None:
    gone = pruning.counted(plan)
    if gone:
        transaction.add("lock_placing")
        transaction.add("count_down", rows=named(("queue", "type", "status", "jobs"), [(*cell, jobs) for cell, jobs in sorted(gone.items())]))
    transaction.add("move_checkpoint", position=plan.position, as_of=plan.as_of, jobs=len(plan.jobs))
    tables.add_delta(transaction, tables.CHECKPOINT, plan.sums)


def set_back(transaction: Transaction, cursor: str, position: int) -> None:
    """What is being dropped is dropped before, and whoever drops afterwards finds the cursor set back."""
    transaction.add("lock_retention")
    transaction.add("set_back", name=cursor, position=position)


async def drop_settled(transaction: Transaction, before: int, before_minute: int) -> None:
    """Dead letters that somebody settled, counters of refusals and workers from before an instant; the checkpoint's minutes from
    before that minute, while the sums since the beginning stay."""
    transaction.add("drop_settled_letters", before=before)
    transaction.add("drop_told_refusals", minute=before // 60_000_000)
    transaction.add("drop_workers", before=before)
    transaction.add("drop_holds", before=before)
    await transaction.ask(*tables.drop_minutes(tables.CHECKPOINT, before_minute))
