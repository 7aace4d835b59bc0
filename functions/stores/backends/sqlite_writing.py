"""The writing half of one write transaction on SQLite: what the commands changed."""

import sqlite3
from collections.abc import Callable

from contracts import strict_json
from contracts.event import Event
from contracts.times import MICROSECONDS
from functions.stores import commands as cmd
from functions.stores.backends import sqlite_alerts as alerts
from functions.stores.backends import sqlite_bulk as bulk
from functions.stores.backends import sqlite_rows as rows
from functions.stores.backends import sqlite_schedules as schedules
from functions.stores.backends.sqlite_database import write_rows
from functions.stores.backends.sqlite_state import WriterState, load_queues

_INSERT_JOB = f"INSERT INTO jobs (number, {rows.COLUMNS})"
_UPDATE_JOB_HEAD = f"UPDATE jobs SET {', '.join(f'{name} = v.column{i + 2}' for i, name in enumerate(rows.MUTABLE))} FROM ("
_INSERT_EVENT = "INSERT INTO events (position, stream, sequence, type, time, body)"
_INSERT_ATTEMPT = """INSERT OR REPLACE INTO attempts
    (job_id, lease_token, attempt, worker, instance, claimed_at, started_at, finished_at, outcome, error, output)"""
_ADD_COUNT = "INSERT INTO counts (queue, type, status, jobs)"


def flush(connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit, check: Callable[[Event], None]) -> list[Event]:
    """Writes what the commands changed; returns the events with their positions."""
    _write_jobs(connection, state, unit)
    _write_attempts(connection, unit)
    _write_keys(connection, unit)
    if unit.edges:
        edges = [(parent, child, settled) for (parent, child), settled in unit.edges.items()]
        write_rows(connection, "INSERT INTO edges (parent_id, child_id, settled)", edges)
        state.has_edges = True
    if unit.new_effects:
        effects = [(job_id, step, token, strict_json.dumps_text(value)) for job_id, step, token, value in unit.new_effects]
        write_rows(connection, "INSERT INTO effects (job_id, step, lease_token, value)", effects)
    for operation in unit.dirty_operations:
        bulk.save(connection, operation, unit.operations[operation])
    if unit.streams:
        write_rows(connection, "INSERT OR REPLACE INTO streams (stream, sequence)", list(unit.streams.items()))
    events = _write_events(connection, state, unit, check)
    _write_counts(connection, state, unit)
    _write_queues(connection, state, unit)
    _write_seen(connection, state, unit)
    _write_dead_letters(connection, unit)
    if unit.changed_schedules:
        schedules.write(connection, unit)
    if unit.changed_alerts:
        alerts.write(connection, unit.changed_alerts)
    return events


def _write_jobs(connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit) -> None:
    fresh = []
    for job in unit.fresh:
        number = state.numbers[job.id] = state.next_number
        state.next_number += 1
        fresh.append(rows.insert_values(job, number))
        unit.dirty.pop(job.id, None)
    changed = [rows.update_values(job, state.numbers[job.id]) for job in unit.dirty.values()]
    if changed:  # first, so that a unique_key that one job gives up is free for a new one
        write_rows(connection, _UPDATE_JOB_HEAD, changed, ") AS v WHERE jobs.number = v.column1")
    if fresh:
        write_rows(connection, _INSERT_JOB, fresh)


def _write_attempts(connection: sqlite3.Connection, unit: cmd.Unit) -> None:
    if unit.attempts:
        values = [
            (a.job_id, a.lease_token, a.attempt, a.worker, a.instance, a.claimed_at, a.started_at, a.finished_at, a.outcome,
             rows.to_json(a.error), a.output)
            for a in unit.attempts
        ]  # fmt: skip
        write_rows(connection, _INSERT_ATTEMPT, values)


def _write_keys(connection: sqlite3.Connection, unit: cmd.Unit) -> None:
    for key, to in unit.rekeyed.items():
        if to is None:
            connection.execute("DELETE FROM idempotency WHERE key = ?", (key,))
        else:
            connection.execute("INSERT OR REPLACE INTO idempotency (key, job_id, fingerprint, created_at) VALUES (?, ?, ?, ?)",
                               (key, *to, unit.now))  # fmt: skip


def _write_events(
    connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit, check: Callable[[Event], None]
) -> list[Event]:
    events, values = [], []
    for document in unit.documents:
        event = Event(document)
        check(event)
        position = state.next_position
        state.next_position += 1
        body = strict_json.dumps_text(document)
        values.append((position, document["subject"], int(document["sequence"]), document["type"], unit.now, body))
        event.put_at(position)
        events.append(event)
    if values:
        write_rows(connection, _INSERT_EVENT, values)
    return events


def _write_counts(connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit) -> None:
    deltas = {key: change for key, change in cmd.state_deltas(unit.documents).items() if change}
    for (queue, job_type, status), change in deltas.items():
        state.counts[queue, job_type, status] = state.counts.get((queue, job_type, status), 0) + change
        if status == "running":
            state.running[queue] = state.running.get(queue, 0) + change
    if deltas:
        values = [(*key, change) for key, change in deltas.items()]
        write_rows(connection, _ADD_COUNT, values, "ON CONFLICT (queue, type, status) DO UPDATE SET jobs = jobs + excluded.jobs")


def _write_queues(connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit) -> None:
    for document in unit.documents:
        if not document["type"].startswith(cmd.QUEUE_EVENTS):
            continue
        participle = document["type"].removeprefix(cmd.QUEUE_EVENTS).removesuffix(".v1")
        data = document["data"]
        if participle == "configured":
            connection.execute(
                """INSERT INTO queues (name, max_running, rate_per_second, paused, tokens, tokens_at) VALUES (?, ?, ?, ?, ?, ?)
                   ON CONFLICT (name) DO UPDATE SET max_running = excluded.max_running, rate_per_second = excluded.rate_per_second""",
                (data["name"], data["max_running"], data["rate_per_second"], data["paused"], data["rate_per_second"] or 0.0, unit.now),
            )
        else:
            paused = participle == "paused"
            connection.execute(
                "UPDATE queues SET paused = ?, paused_by = ?, paused_at = ? WHERE name = ?",
                (paused, document["actor"] if paused else None, unit.now if paused else None, data["name"]),
            )
        state.queues = load_queues(connection)


def _write_seen(connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit) -> None:
    """Who asked for jobs; of each at most once a second."""
    fresh = [pair for pair in unit.seen if unit.now - state.seen.get(pair, 0) >= MICROSECONDS]
    if fresh:
        write_rows(connection, "INSERT OR REPLACE INTO workers (queue, worker, seen_at)", [(*pair, unit.now) for pair in fresh])
        state.seen.update(dict.fromkeys(fresh, unit.now))


def _write_dead_letters(connection: sqlite3.Connection, unit: cmd.Unit) -> None:
    for document in unit.documents:
        if document["type"].startswith(cmd.DEAD_LETTER_EVENTS):
            connection.execute("UPDATE dead_letters SET status = ?, outcome = ? WHERE id = ?", (*cmd.letter_after(document), document["data"]["id"]))
