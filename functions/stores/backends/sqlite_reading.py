"""The statements of readers on SQLite. Each function gets a connection inside a read transaction: one snapshot."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson

from contracts.errors import JobNotFound
from contracts.event import Event
from contracts.job import Attempt, Job
from contracts.times import to_rfc3339
from functions.stores.backends import sqlite_rows as rows
from functions.stores.backends.sqlite_database import one
from functions.stores.cursors import decode_cursor, encode_cursor
from functions.stores.job_store import DeadLetter, Family, Page, QueueState

# ---- jobs -------------------------------------------------------------------------------------------------------


def job(connection: sqlite3.Connection, job_id: str) -> Job:
    row = connection.execute(f"SELECT {rows.COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise JobNotFound(f"there is no job {job_id}")
    return rows.job_of(row)


def statuses(connection: sqlite3.Connection, job_ids: Sequence[str]) -> dict[str, str]:
    sql = "SELECT id, status FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
    return dict(connection.execute(sql, (orjson.dumps(list(job_ids)).decode(),)).fetchall())


_FAMILY = """WITH RECURSIVE family (id) AS (
    VALUES (?1)
    UNION SELECT edges.child_id FROM family JOIN edges ON edges.parent_id = family.id
    UNION SELECT edges.parent_id FROM family JOIN edges ON edges.child_id = family.id
    UNION SELECT jobs.id FROM family JOIN jobs ON jobs.parent_id = family.id
    UNION SELECT jobs.parent_id FROM family JOIN jobs ON jobs.id = family.id WHERE jobs.parent_id IS NOT NULL
    LIMIT ?2)"""
_WITHOUT_BODIES = rows.COLUMNS.replace(" payload,", " 'null',").replace(" result,", " NULL,")


def family(connection: sqlite3.Connection, job_id: str, limit: int) -> Family:
    """SQLite takes the rows of a recursion first in, first out, so the nearest come first."""
    job(connection, job_id)
    (many,) = connection.execute(f"{_FAMILY} SELECT count(*) FROM family", (job_id, limit + 1)).fetchone()
    sql = f"{_FAMILY} SELECT {_WITHOUT_BODIES} FROM jobs WHERE id IN (SELECT id FROM family) ORDER BY number"
    return Family([rows.job_of(row) for row in connection.execute(sql, (job_id, limit))], many <= limit)


def attempts(connection: sqlite3.Connection, job_id: str) -> list[Attempt]:
    found = connection.execute(
        """SELECT job_id, lease_token, attempt, worker, instance, claimed_at, started_at, finished_at, outcome, error, output
           FROM attempts WHERE job_id = ? ORDER BY lease_token""",
        (job_id,),
    )
    ended = [Attempt(*(*row[:9], orjson.loads(row[9]) if row[9] else None, row[10])) for row in found]
    current = job(connection, job_id)
    if current.status == "running":
        worker = current.worker or ""
        ended.append(Attempt(job_id, current.lease_token, current.attempt, worker, worker, current.started_at or 0,
                             None, None, "running", None, None))  # fmt: skip
    return ended


def effects(connection: sqlite3.Connection, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    sql = "SELECT job_id, step, value FROM effects WHERE job_id IN (SELECT value FROM json_each(?))"
    for job_id, step, value in connection.execute(sql, (orjson.dumps(list(job_ids)).decode(),)):
        found.setdefault(job_id, {})[step] = orjson.loads(value)
    return found


def counts(connection: sqlite3.Connection, table: str) -> dict[tuple[str, str, str], int]:
    return {(q, t, s): n for q, t, s, n in connection.execute(f"SELECT queue, type, status, jobs FROM {table}") if n}


def queues(connection: sqlite3.Connection) -> list[QueueState]:
    depth: dict[tuple[str, str], int] = {}
    for (queue, _, status), jobs_ in counts(connection, "counts").items():
        depth[queue, status] = depth.get((queue, status), 0) + jobs_
    sql = "SELECT name, max_running, rate_per_second, paused, paused_by, paused_at FROM queues ORDER BY name"
    found = connection.execute(sql).fetchall()
    seen = connection.execute("SELECT queue, worker, seen_at FROM workers").fetchall()
    return [
        QueueState(name, limit, rate, bool(paused), by, at, depth.get((name, "queued"), 0), depth.get((name, "running"), 0),
                   one(connection, "SELECT min(queued_at) FROM jobs WHERE status = 'queued' AND queue = ?", (name,)),
                   {worker: seen_at for queue, worker, seen_at in seen if queue == name})
        for name, limit, rate, paused, by, at in found
    ]  # fmt: skip


# ---- the feed ---------------------------------------------------------------------------------------------------


def head(connection: sqlite3.Connection) -> int:
    return one(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'events'") or 0


def _event(position: int, body: str) -> Event:
    document = orjson.loads(body)
    document["position"] = str(position)
    return Event(document)


def feed(connection: sqlite3.Connection, after: int, limit: int) -> list[Event]:
    found = connection.execute("SELECT position, body FROM events WHERE position > ? ORDER BY position LIMIT ?", (after, limit))
    return [_event(*row) for row in found.fetchall()]


def events_of(connection: sqlite3.Connection, stream: str, after: int, limit: int) -> list[Event]:
    found = connection.execute(
        "SELECT position, body FROM events WHERE stream = ? AND sequence > ? ORDER BY sequence LIMIT ?", (stream, after, limit)
    )
    return [_event(*row) for row in found.fetchall()]


def recent_events(connection: sqlite3.Connection, limit: int, before: int | None, event_type: str | None) -> list[Event]:
    conditions: list[str] = ["position < ?"]
    values: list[Any] = [before if before is not None else 1 << 62]
    if event_type is not None:
        conditions.append("type = ?")
        values.append(event_type)
    sql = f"SELECT position, body FROM events WHERE {' AND '.join(conditions)} ORDER BY position DESC LIMIT ?"
    return [_event(*row) for row in connection.execute(sql, (*values, limit)).fetchall()]


EVENTS_A_SEARCH = 20_000


def dropped(connection: sqlite3.Connection) -> int:
    return one(connection, "SELECT max(position) FROM checkpoints") or 0


def find_events(connection: sqlite3.Connection, types: Sequence[str], stream: str | None, limit: int, before: int | None) -> Page[Event]:
    before = head(connection) + 1 if before is None else before
    # a stream has an index, and is small; else so many rows are looked at, and the next page goes on below them
    floor = before - EVENTS_A_SEARCH if types and stream is None else 0
    conditions = ["position < ?", "position >= ?"]
    values: list[Any] = [before, floor]
    if types:
        conditions.append(f"+type IN ({','.join('?' * len(types))})")
        values += types
    if stream is not None:
        conditions.append("stream = ?")
        values.append(stream)
    order = "sequence" if stream is not None else "position"
    sql = f"SELECT position, body FROM events WHERE {' AND '.join(conditions)} ORDER BY {order} DESC LIMIT ?"
    found = [_event(*row) for row in connection.execute(sql, (*values, limit + 1)).fetchall()]
    if len(found) > limit:
        return Page(found[:limit], str(found[limit - 1].position))
    return Page(found, str(floor) if floor > 1 else None)


# ---- dead letters and refusals ----------------------------------------------------------------------------------

_LETTER = "id, trigger, source, event_id, event_type, reason, attempts, content_type, body, headers, kept_at, status, outcome, position"


def _letter(row: Sequence[Any]) -> DeadLetter:
    return DeadLetter(*(*row[:9], orjson.loads(row[9]), *row[10:]))


def dead_letters(connection: sqlite3.Connection, limit: int, cursor: str | None, status: str | None) -> Page[DeadLetter]:
    conditions: list[str] = ["1"]
    values: list[Any] = []
    if status is not None:
        conditions.append("status = ?")
        values.append(status)
    if cursor is not None:
        conditions.append("id < ?")
        values.append(decode_cursor(cursor))
    sql = f"SELECT {_LETTER} FROM dead_letters WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"
    found = [_letter(row) for row in connection.execute(sql, (*values, limit + 1)).fetchall()]
    return Page(found[:limit], encode_cursor(found[limit - 1].id) if len(found) > limit else None)


def dead_letter(connection: sqlite3.Connection, letter_id: str) -> DeadLetter | None:
    row = connection.execute(f"SELECT {_LETTER} FROM dead_letters WHERE id = ?", (letter_id,)).fetchone()
    return None if row is None else _letter(row)


def dead_letter_of(connection: sqlite3.Connection, trigger: str, source: str, event_id: str) -> DeadLetter | None:
    sql = f"SELECT {_LETTER} FROM dead_letters WHERE trigger = ? AND source = ? AND event_id = ?"
    row = connection.execute(sql, (trigger, source, event_id)).fetchone()
    return None if row is None else _letter(row)


def dead_letter_counts(connection: sqlite3.Connection, since: int) -> dict[str, int]:
    sql = "SELECT status, count(*) FROM dead_letters WHERE kept_at >= ? GROUP BY status"
    return dict(connection.execute(sql, (since,)).fetchall())


def refusals(connection: sqlite3.Connection, limit: int, subject_type: str | None) -> list[dict[str, Any]]:
    sql = """SELECT minute, subject_type, reason, count, samples FROM refusals WHERE ?1 IS NULL OR subject_type = ?1
             ORDER BY minute DESC, count DESC, subject_type, reason LIMIT ?2"""
    found = connection.execute(sql, (subject_type, limit))
    return [
        {"minute": to_rfc3339(minute * 60_000_000), "type": subject_type, "reason": reason, "count": count,
         "samples": orjson.loads(samples)}
        for minute, subject_type, reason, count, samples in found
    ]  # fmt: skip
