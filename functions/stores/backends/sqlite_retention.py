"""Retention on SQLite: whole ended jobs go with their events, in small steps, into the checkpoint.

A step reads and folds on a reader's connection, for what has ended does not change; the writer only compares, deletes and
adds. Jobs are walked in the order of acceptance, so that no index is kept for it. The file does not shrink: its free pages
are used again, so that it stops growing.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from contracts.event import Event
from contracts.event_types import SCHEDULE_FIRED, SCHEDULE_SKIPPED, full_name
from contracts.statistics import ALL_TIME, Delta, fold
from functions.stores.backends.sqlite_database import write_rows
from functions.stores.backends.sqlite_state import WriterState
from functions.stores.backends.sqlite_tables import CHECKPOINT, add_delta, read_delta
from functions.stores.job_store import PUBLISH_CURSOR, STATISTICS_CURSOR
from functions.stores.retention import KEY_MICROS, STATUSES, TOLD, Checkpoint, Pruned, Retention

WALK = 2_000  # rows looked at in a step
_TOLD = [full_name(name) for name in TOLD]
_OF_SCHEDULES = (SCHEDULE_FIRED, SCHEDULE_SKIPPED)


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What a step may drop, and where the walks stand after it."""

    jobs: list[Ended] = field(default_factory=list)
    told: list[int] = field(default_factory=list)  # positions of events of other streams
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


def plan(connection: sqlite3.Connection, keep: Retention, now: int, walk: Walk, ended: int) -> Plan:
    """What a step may drop: `ended` jobs are there in all. Nothing that a reader of the feed has not passed."""
    safe = _slowest_reader(connection)
    over = max(ended - keep.most_ended, 0) if keep.most_ended is not None else 0
    rows, number, at_end = _old_jobs(connection, keep, now, 0 if over else walk.number, over)
    events = _events_of(connection, [job.id for job in rows])
    late = {stream for position, stream, _, _ in events if position > safe}
    rows = [job for job in rows if f"job/{job.id}" not in late]
    events = [event for event in events if event[1] not in late]
    told, position = _old_told(connection, keep, now, walk.position, safe)
    keys, key = _old_keys(connection, now, walk.key)
    dropped = events + told
    return Plan(
        rows, [event[0] for event in told], keys, fold(Event(orjson.loads(body)) for _, _, _, body in dropped),
        max((event[0] for event in dropped), default=0), max((event[2] for event in dropped), default=0),
        Walk(0 if at_end else number, position, key), more=not at_end or bool(told) or bool(keys) or over > len(rows), over=over > len(rows),
    )  # fmt: skip


def _slowest_reader(connection: sqlite3.Connection) -> int:
    cursors = dict(connection.execute("SELECT name, position FROM cursors").fetchall())
    return min(cursors.get(PUBLISH_CURSOR, 0), cursors.get(STATISTICS_CURSOR, 0), *cursors.values(), 1 << 62)


def _old_jobs(connection: sqlite3.Connection, keep: Retention, now: int, after: int, over: int) -> tuple[list[Ended], int, bool]:
    """The next ended jobs to drop, how far the walk came, and whether it came to the end. The newest job always stays,
    for numbers are never given twice."""
    found = connection.execute(
        "SELECT number, id, sequence, queue, type, status, finished_at, created_at FROM jobs WHERE number > ? AND number < (SELECT max(number) FROM jobs)"
        " ORDER BY number LIMIT ?", (after, WALK),
    ).fetchall()  # fmt: skip
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


def _events_of(connection: sqlite3.Connection, job_ids: Sequence[str]) -> list[tuple[int, str, int, str]]:
    sql = """SELECT position, stream, time, body FROM events
             WHERE stream IN (SELECT 'job/' || value FROM json_each(?))"""
    return connection.execute(sql, (orjson.dumps(job_ids).decode(),)).fetchall() if job_ids else []


def _old_told(connection: sqlite3.Connection, keep: Retention, now: int, after: int, safe: int) -> tuple[list[tuple[int, str, int, str]], int]:
    if keep.others_micros is None:
        return [], 0
    before = now - keep.others_micros
    found = connection.execute(
        "SELECT position, stream, time, type FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?", (after, safe, WALK)
    ).fetchall()
    old = [row for row in found if row[2] < before]
    last = _last_of_schedules(connection, {row[1] for row in old if row[3] in _OF_SCHEDULES})
    positions = [row[0] for row in old if row[3] in _TOLD and row[0] not in last]
    sql = "SELECT position, stream, time, body FROM events WHERE position IN (SELECT value FROM json_each(?))"
    told = connection.execute(sql, (orjson.dumps(positions).decode(),)).fetchall() if positions else []
    return told, old[-1][0] if len(old) == WALK else 0


def _last_of_schedules(connection: sqlite3.Connection, streams: set[str]) -> set[int]:
    """The positions of each schedule's last firing and last skip, of which its row is made."""
    if not streams:
        return set()
    sql = """SELECT max(position) FROM events WHERE stream IN (SELECT value FROM json_each(?)) AND type IN (?, ?) GROUP BY stream, type"""
    return {row[0] for row in connection.execute(sql, (orjson.dumps(sorted(streams)).decode(), *_OF_SCHEDULES))}


def _old_keys(connection: sqlite3.Connection, now: int, after: str) -> tuple[list[str], str]:
    """Keys whose job is gone and that are older than a day."""
    sql = """SELECT key, created_at < ? AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = idempotency.job_id)
             FROM idempotency WHERE key > ? ORDER BY key LIMIT ?"""
    found = connection.execute(sql, (now - KEY_MICROS, after, WALK)).fetchall()
    keys = [key for key, is_over in found if is_over]
    return keys, found[-1][0] if len(found) == WALK else ""


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
    """Drops what was planned, in the transaction at hand; nothing when one of the jobs was reopened meanwhile."""
    ids = orjson.dumps([job.id for job in plan.jobs]).decode()
    now_there = dict(connection.execute("SELECT id, sequence FROM jobs WHERE id IN (SELECT value FROM json_each(?))", (ids,)).fetchall())
    if any(now_there.get(job.id) != job.sequence for job in plan.jobs):
        return Pruned(more=True, over=plan.over)
    _remember(connection, plan, now)
    _drop_jobs(connection, ids)
    connection.execute("DELETE FROM idempotency WHERE key IN (SELECT value FROM json_each(?))", (orjson.dumps(plan.keys).decode(),))
    told = orjson.dumps(plan.told).decode()
    connection.execute("DELETE FROM events WHERE position IN (SELECT value FROM json_each(?))", (told,))
    _count_down(connection, state, plan)
    if plan.jobs or plan.told:
        connection.execute(
            """INSERT INTO checkpoints VALUES (1, ?, ?, ?) ON CONFLICT (only) DO UPDATE SET position = max(position, excluded.position),
               as_of = max(as_of, excluded.as_of), jobs = jobs + excluded.jobs""",
            (plan.position, plan.as_of, len(plan.jobs)),
        )
        add_delta(connection, CHECKPOINT, plan.sums)
    return Pruned(len(plan.jobs), sum(job.sequence for job in plan.jobs) + len(plan.told), len(plan.keys), plan.more, plan.over)


def _remember(connection: sqlite3.Connection, plan: Plan, now: int) -> None:
    """How jobs ended whose keys may still live."""
    oldest = now - KEY_MICROS
    young = [(job.id, job.status, job.finished_at) for job in plan.jobs if job.finished_at > oldest]
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
    for (queue, job_type, status), jobs in Counter((job.queue, job.type, job.status) for job in plan.jobs).items():
        state.counts[queue, job_type, status] = state.counts.get((queue, job_type, status), 0) - jobs
        connection.execute("UPDATE counts SET jobs = jobs - ? WHERE queue = ? AND type = ? AND status = ?", (jobs, queue, job_type, status))


def drop_settled(connection: sqlite3.Connection, before: int) -> None:
    """Dead letters that somebody settled, counters of refusals, and workers that were seen last, before an instant."""
    connection.execute("DELETE FROM dead_letters WHERE status != 'kept' AND kept_at < ?", (before,))
    connection.execute("DELETE FROM refusals WHERE told = 1 AND minute < ?", (before // 60_000_000,))
    connection.execute("DELETE FROM workers WHERE seen_at < ?", (before,))


def forget_minutes(connection: sqlite3.Connection, before_minute: int) -> None:
    """The checkpoint's minutes from before this one; the sums since the beginning stay."""
    for table in ("checkpoint_sums", "checkpoint_buckets"):
        connection.execute(f"DELETE FROM {table} WHERE minute > ? AND minute < ?", (ALL_TIME, before_minute))
