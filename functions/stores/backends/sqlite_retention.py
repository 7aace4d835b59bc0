"""Retention on SQLite: whole ended jobs go with their events, in small steps, into the checkpoint.

What goes is decided in `stores/pruning.py`. The file does not shrink: its free pages are used again, so that it stops growing.
"""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from contracts.statistics import ALL_TIME
from functions.stores import pruning
from functions.stores.backends.sqlite_database import one, write_rows
from functions.stores.backends.sqlite_state import WriterState
from functions.stores.backends.sqlite_tables import CHECKPOINT, add_delta, read_delta
from functions.stores.pruning import OF_SCHEDULES, TOLD_TYPES, WALK, Ended, Walk
from functions.stores.retention import KEY_MICROS, Checkpoint, Pruned, Retention


class Told(NamedTuple):
    """An event as it is dropped."""

    position: int
    stream: str
    time: int
    body: str


Plan = pruning.Plan[Told]

# ---- reading ----------------------------------------------------------------------------------------------------


def plan(connection: sqlite3.Connection, keep: Retention, now: int, walk: Walk, ended: int) -> Plan:
    """What a step may drop: `ended` jobs are there in all. Nothing that a reader of the feed has not passed."""
    safe = pruning.slowest_reader(dict(connection.execute("SELECT name, position FROM cursors").fetchall()))
    over = pruning.too_many(keep, ended)
    found, number, at_end = _old_jobs(connection, keep, now, 0 if over else walk.number, over)
    jobs, events = pruning.passed(found, _events_of(connection, [job.id for job in found]), safe)
    told, position = _old_told(connection, keep, now, walk.position, safe)
    keys, key = _old_keys(connection, now, walk.key)
    return pruning.plan_of(jobs, events, told, keys, Walk(0 if at_end else number, position, key), at_end=at_end, over=over)


def _old_jobs(connection: sqlite3.Connection, keep: Retention, now: int, after: int, over: int) -> tuple[list[Ended], int, bool]:
    """The newest job always stays, for numbers are never given twice."""
    found = connection.execute(
        "SELECT number, id, sequence, queue, type, status, finished_at, created_at FROM jobs WHERE number > ? AND number < (SELECT max(number) FROM jobs)"
        " ORDER BY number LIMIT ?", (after, WALK),
    ).fetchall()  # fmt: skip
    return pruning.old_jobs(found, keep, now, after, over)


def _events_of(connection: sqlite3.Connection, job_ids: Sequence[str]) -> list[Told]:
    sql = """SELECT position, stream, time, body FROM events
             WHERE stream IN (SELECT 'job/' || value FROM json_each(?))"""
    return [Told(*row) for row in connection.execute(sql, (orjson.dumps(job_ids).decode(),))] if job_ids else []


def _old_told(connection: sqlite3.Connection, keep: Retention, now: int, after: int, safe: int) -> tuple[list[Told], int]:
    if keep.others_micros is None:
        return [], 0
    before = now - keep.others_micros
    found = connection.execute(
        "SELECT position, stream, time, type FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?", (after, safe, WALK)
    ).fetchall()
    old = [row for row in found if row[2] < before]
    last = _last_of_schedules(connection, {row[1] for row in old if row[3] in OF_SCHEDULES})
    positions = [row[0] for row in old if row[3] in TOLD_TYPES and row[0] not in last]
    sql = "SELECT position, stream, time, body FROM events WHERE position IN (SELECT value FROM json_each(?))"
    told = [Told(*row) for row in connection.execute(sql, (orjson.dumps(positions).decode(),))] if positions else []
    return told, old[-1][0] if len(old) == WALK else 0


def _last_of_schedules(connection: sqlite3.Connection, streams: set[str]) -> set[int]:
    """The positions of each schedule's last firing and last skip, of which its row is made."""
    if not streams:
        return set()
    sql = """SELECT max(position) FROM events WHERE stream IN (SELECT value FROM json_each(?)) AND type IN (?, ?) GROUP BY stream, type"""
    return {row[0] for row in connection.execute(sql, (orjson.dumps(sorted(streams)).decode(), *OF_SCHEDULES))}


def _old_keys(connection: sqlite3.Connection, now: int, after: str) -> tuple[list[tuple[str, str]], str]:
    """Keys whose job is gone and that are older than a day."""
    sql = """SELECT key, job_id, created_at < ? AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = idempotency.job_id)
             FROM idempotency WHERE key > ? ORDER BY key LIMIT ?"""
    return pruning.old_keys(connection.execute(sql, (now - KEY_MICROS, after, WALK)).fetchall())


def checkpoint(connection: sqlite3.Connection) -> Checkpoint | None:
    found = connection.execute("SELECT position, as_of, jobs FROM checkpoints").fetchone()
    if found is None:
        return None
    position, as_of, jobs = found
    return Checkpoint(position, as_of, jobs, read_delta(connection, CHECKPOINT))


def pruned_states(connection: sqlite3.Connection) -> dict[tuple[str, str, str], int]:
    """(queue, type, status) -> dropped jobs."""
    return {row[:3]: row[3] for row in connection.execute("SELECT queue, type, status, jobs FROM checkpoint_states")}


# ---- writing ----------------------------------------------------------------------------------------------------


def drop(connection: sqlite3.Connection, state: WriterState, plan: Plan, now: int) -> Pruned:
    """Drops what was planned, in the transaction at hand; nothing when it is not so any more."""
    ids = orjson.dumps([job.id for job in plan.jobs]).decode()
    sequences = dict(connection.execute("SELECT id, sequence FROM jobs WHERE id IN (SELECT value FROM json_each(?))", (ids,)).fetchall())
    cursors = dict(connection.execute("SELECT name, position FROM cursors").fetchall())
    told = orjson.dumps([event.position for event in plan.told]).decode()
    still = one(connection, "SELECT count(*) FROM events WHERE position IN (SELECT value FROM json_each(?))", (told,))
    if (done := pruning.done(plan, sequences, still, cursors)) is None:
        return Pruned(more=True, over=plan.over)
    _remember(connection, plan, now)
    _drop_jobs(connection, ids)
    connection.executemany("DELETE FROM idempotency WHERE key = ? AND job_id = ?", plan.keys)  # not one that a new job has taken
    connection.execute("DELETE FROM events WHERE position IN (SELECT value FROM json_each(?))", (told,))
    _count_down(connection, state, plan)
    if plan.jobs or plan.told:
        connection.execute(
            """INSERT INTO checkpoints VALUES (1, ?, ?, ?) ON CONFLICT (only) DO UPDATE SET position = max(position, excluded.position),
               as_of = max(as_of, excluded.as_of), jobs = jobs + excluded.jobs""",
            (plan.position, plan.as_of, len(plan.jobs)),
        )
        add_delta(connection, CHECKPOINT, plan.sums)
    return done


def _remember(connection: sqlite3.Connection, plan: Plan, now: int) -> None:
    young, oldest = pruning.still_asked_for(plan, now)
    write_rows(connection, "INSERT OR REPLACE INTO gone (job_id, status, finished_at)", young)
    connection.execute("DELETE FROM gone WHERE finished_at < ?", (oldest,))


def _drop_jobs(connection: sqlite3.Connection, ids: str) -> None:
    for sql in (
        "DELETE FROM events WHERE stream IN (SELECT 'job/' || value FROM json_each(?))",
        "DELETE FROM attempts WHERE job_id IN (SELECT value FROM json_each(?))",
        "DELETE FROM effects WHERE job_id IN (SELECT value FROM json_each(?))",
        "DELETE FROM edges WHERE parent_id IN (SELECT value FROM json_each(?))",
        "DELETE FROM edges WHERE child_id IN (SELECT value FROM json_each(?))",
        "DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?))",
    ):
        connection.execute(sql, (ids,))


def _count_down(connection: sqlite3.Connection, state: WriterState, plan: Plan) -> None:
    for (queue, job_type, status), jobs in pruning.counted(plan).items():
        state.counts[queue, job_type, status] = state.counts.get((queue, job_type, status), 0) - jobs
        connection.execute("UPDATE counts SET jobs = jobs - ? WHERE queue = ? AND type = ? AND status = ?", (jobs, queue, job_type, status))


def drop_settled(connection: sqlite3.Connection, before: int) -> None:
    """Dead letters that somebody settled, counters of refusals, and workers that were seen last, before an instant."""
    connection.execute("DELETE FROM dead_letters WHERE status != 'kept' AND kept_at < ?", (before,))
    connection.execute("DELETE FROM refusals WHERE told = 1 AND minute < ?", (before // 60_000_000,))
    connection.execute("DELETE FROM workers WHERE seen_at < ?", (before,))
    connection.execute("DELETE FROM holds WHERE until < ?", (before,))


def forget_minutes(connection: sqlite3.Connection, before_minute: int) -> None:
    """The checkpoint's minutes from before this one; the sums since the beginning stay."""
    for table in ("checkpoint_sums", "checkpoint_buckets"):
        connection.execute(f"DELETE FROM {table} WHERE minute > ? AND minute < ?", (ALL_TIME, before_minute))
