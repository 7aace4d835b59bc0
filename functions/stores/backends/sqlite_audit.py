"""What an audit reads of SQLite, and how it mends the table from the log."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from contracts import event_types as types
from contracts.event import Event
from contracts.folding import COMPARED, Folded, FoldedAttempt
from contracts.job import JOB_FIELDS, Attempt, Job
from functions.stores.backends import sqlite_rows as rows
from functions.stores.backends.sqlite_database import one
from functions.stores.backends.sqlite_state import WriterState
from functions.stores.job_store import Waiting
from functions.stores.rows import ENDS, waiting_of

History = tuple[int, Job, list[Event], list[Attempt]]


def counted(connection: sqlite3.Connection) -> tuple[int, dict[tuple[str, str, str], int]]:
    head = one(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'events'") or 0
    return head, {row[:3]: row[3] for row in connection.execute("SELECT queue, type, status, jobs FROM counts WHERE jobs != 0")}


def jobs_with_history(connection: sqlite3.Connection, after: int, limit: int) -> list[History]:
    sql = f"SELECT number, {rows.COLUMNS} FROM jobs WHERE number > ? ORDER BY number LIMIT ?"
    found = [(row[0], rows.job_of(row[1:])) for row in connection.execute(sql, (after, limit)).fetchall()]
    ids = orjson.dumps([job.id for _, job in found]).decode()
    events: dict[str, list[Event]] = defaultdict(list)
    sql = "SELECT stream, body FROM events WHERE stream IN (SELECT 'job/' || value FROM json_each(?)) ORDER BY stream, sequence"
    for stream, body in connection.execute(sql, (ids,)):
        events[stream[4:]].append(Event(orjson.loads(body)))
    attempts = _attempts(connection, ids)
    return [(number, job, events[job.id], attempts[job.id]) for number, job in found]


def _attempts(connection: sqlite3.Connection, ids: str) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = defaultdict(list)
    sql = """SELECT job_id, lease_token, attempt, worker, instance, claimed_at, started_at, finished_at, outcome, error
             FROM attempts WHERE job_id IN (SELECT value FROM json_each(?)) ORDER BY job_id, lease_token"""
    for row in connection.execute(sql, (ids,)):
        found[row[0]].append(Attempt(*(*row[:9], orjson.loads(row[9]) if row[9] else None, None)))
    return found


def missing(connection: sqlite3.Connection, job_ids: Sequence[str]) -> list[str]:
    sql = "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = value)"
    return [row[0] for row in connection.execute(sql, (orjson.dumps(list(job_ids)).decode(),))]


def waiting(connection: sqlite3.Connection, job_ids: Sequence[str]) -> list[Waiting]:
    sql = """WITH waited AS (
                 SELECT child.number, child.id AS child, child.open_parents, parents.value AS parent,
                        (SELECT position FROM events WHERE stream = 'job/' || child.id AND sequence = 1) AS born,
                        (SELECT max(position) FROM events WHERE stream = 'job/' || parents.value AND type IN (?, ?, ?)) AS ended
                 FROM jobs AS child LEFT JOIN json_each(child.depends_on) AS parents
                 WHERE child.id IN (SELECT value FROM json_each(?)) AND child.status = 'waiting'
             )
             SELECT child, open_parents, parent,
                    EXISTS (SELECT 1 FROM edges WHERE parent_id = parent AND child_id = child AND settled = 0),
                    EXISTS (SELECT 1 FROM events WHERE stream = 'job/' || parent) AND (ended IS NULL OR EXISTS (
                        SELECT 1 FROM events WHERE stream = 'job/' || parent AND type = ? AND position > ended AND position < born))
             FROM waited ORDER BY number"""
    return waiting_of(connection.execute(sql, (*ENDS, orjson.dumps(list(job_ids)).decode(), types.JOB_REOPENED)))


# ---- mending ----------------------------------------------------------------------------------------------------


def restore(connection: sqlite3.Connection, state: WriterState, histories: Sequence[tuple[str, Folded]]) -> None:
    for job_id, folded in histories:
        if folded.job is None:
            for sql in ("DELETE FROM attempts WHERE job_id = ?", "DELETE FROM effects WHERE job_id = ?", "DELETE FROM jobs WHERE id = ?"):
                connection.execute(sql, (job_id,))
            continue
        _restore_row(connection, state, folded.job)
        for attempt in folded.attempts.values():
            if attempt.outcome != "running":
                _restore_attempt(connection, job_id, attempt)
        tokens = orjson.dumps([token for token, attempt in folded.attempts.items() if attempt.outcome != "running"]).decode()
        connection.execute("DELETE FROM attempts WHERE job_id = ? AND lease_token NOT IN (SELECT value FROM json_each(?))", (job_id, tokens))
    _count_again(connection, state)


def restore_waiting(connection: sqlite3.Connection, state: WriterState, open_parents: Mapping[str, Sequence[str]]) -> None:
    for job_id, parents in open_parents.items():
        connection.execute("UPDATE jobs SET open_parents = ? WHERE id = ?", (len(parents), job_id))
        connection.execute("UPDATE edges SET settled = 1 WHERE child_id = ?", (job_id,))
        sql = "INSERT INTO edges (parent_id, child_id, settled) VALUES (?, ?, 0) ON CONFLICT (parent_id, child_id) DO UPDATE SET settled = 0"
        connection.executemany(sql, [(parent, job_id) for parent in parents])
    state.has_edges = True


def _restore_row(connection: sqlite3.Connection, state: WriterState, job: Job) -> None:
    """What the log does not tell stays; a running job's lease has run out, so that its worker's end is awaited no longer."""
    number = one(connection, "SELECT number FROM jobs WHERE id = ?", (job.id,))
    values = dict(zip(("number", *JOB_FIELDS), rows.insert_values(job, number or state.next_number), strict=True))
    lease = 0 if job.status == "running" else None
    if number is None:
        state.next_number += 1
        values["lease_until"] = lease
        columns = ", ".join(values)
        connection.execute(f"INSERT INTO jobs ({columns}) VALUES ({', '.join('?' * len(values))})", list(values.values()))
        return
    changes = ", ".join(f"{name} = ?" for name in COMPARED)
    connection.execute(
        f"UPDATE jobs SET {changes}, lease_until = CASE WHEN ? IS NULL THEN NULL ELSE coalesce(lease_until, ?) END WHERE number = ?",
        [*(values[name] for name in COMPARED), lease, lease, number],
    )


def _restore_attempt(connection: sqlite3.Connection, job_id: str, attempt: FoldedAttempt) -> None:
    error = rows.to_json(attempt.error)
    told = (attempt.attempt, attempt.claimed_at, attempt.finished_at, attempt.outcome)
    connection.execute(
        """INSERT INTO attempts (job_id, lease_token, attempt, claimed_at, finished_at, outcome, error, worker, instance)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (job_id, lease_token) DO UPDATE SET attempt = excluded.attempt, claimed_at = excluded.claimed_at,
               finished_at = excluded.finished_at, outcome = excluded.outcome,
               error = CASE excluded.outcome WHEN 'cancelled' THEN error ELSE excluded.error END""",
        (job_id, attempt.lease_token, *told, error, attempt.worker, attempt.instance),
    )


def _count_again(connection: sqlite3.Connection, state: WriterState) -> None:
    connection.execute("DELETE FROM counts")
    connection.execute("INSERT INTO counts (queue, type, status, jobs) SELECT queue, type, status, count(*) FROM jobs GROUP BY 1, 2, 3")
    fresh = replace(WriterState.load(connection), numbers=state.numbers)
    state.counts, state.running = fresh.counts, fresh.running
