"""The statements of one write transaction on SQLite: load what the commands need, write what they changed."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import orjson

from contracts import strict_json
from contracts.event import Event
from contracts.job import Job
from functions.stores import commands as cmd
from functions.stores.backends import sqlite_rows as rows
from functions.stores.backends.sqlite_database import one, write_rows
from functions.stores.job_store import DeadLetter, Refusal

SAMPLES_A_MINUTE = 10


@dataclass(slots=True)
class QueueRow:
    """A queue as the claim needs it."""

    max_running: int | None
    rate_per_second: float | None
    paused: bool
    tokens: float
    tokens_at: int


@dataclass(slots=True)
class WriterState:
    """What the one writer knows without asking: the next numbers, the counts, the queues."""

    next_number: int = 1
    next_position: int = 1
    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)  # queue -> jobs
    queues: dict[str, QueueRow] = field(default_factory=dict)
    has_edges: bool = False
    numbers: dict[str, int] = field(default_factory=dict)  # job id -> number, of this transaction

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> "WriterState":
        counts = {(q, t, s): n for q, t, s, n in connection.execute("SELECT queue, type, status, jobs FROM counts")}
        running: dict[str, int] = defaultdict(int)
        for (queue, _, status), jobs in counts.items():
            if status == "running":
                running[queue] += jobs
        last_position = one(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'events'") or 0
        return cls(
            next_number=(one(connection, "SELECT max(number) FROM jobs") or 0) + 1,
            next_position=last_position + 1,
            counts=counts,
            running=dict(running),
            queues=load_queues(connection),
            has_edges=one(connection, "SELECT 1 FROM edges LIMIT 1") is not None,
        )

    def copy(self) -> "WriterState":
        """For one transaction; it replaces this one when that is committed."""
        return WriterState(
            self.next_number, self.next_position, dict(self.counts), dict(self.running), dict(self.queues), self.has_edges, {}
        )


def load_queues(connection: sqlite3.Connection) -> dict[str, QueueRow]:
    found = connection.execute("SELECT name, max_running, rate_per_second, paused, tokens, tokens_at FROM queues")
    return {name: QueueRow(limit, rate, bool(paused), tokens, at) for name, limit, rate, paused, tokens, at in found}


@dataclass(slots=True)
class SqlWrite:
    """A write that is no move: runs after the moves, in the same transaction."""

    run: Callable[[sqlite3.Connection], Any]
    lazy: bool = False


@dataclass(slots=True)
class ConfigureQueue(cmd.QueueEvent):
    """A queue's event together with its row."""

    lazy: ClassVar[bool] = False


# ---- loading ----------------------------------------------------------------------------------------------------


def load(connection: sqlite3.Connection, state: WriterState, needs: cmd.Needs, unit: cmd.Unit) -> None:
    """Fills the unit with what its commands asked for."""
    if needs.keys:
        _reserve_keys(connection, needs, unit)
    if needs.job_ids:
        _load_jobs(connection, state, unit, needs.job_ids)
        needs.uniques.update((job.type, job.unique_key) for job in unit.jobs.values() if job.unique_key is not None)
    if needs.uniques:
        _load_uniques(connection, state, needs, unit)
    if needs.effects:
        _load_effects(connection, needs, unit)
    for queue, limit in needs.claims.items():
        unit.claimable[queue] = _claimable(connection, state, unit, queue, limit)
    if needs.tick:
        _load_tick(connection, state, needs, unit)
    unit.paused = {name: queue.paused for name, queue in state.queues.items()} if needs.streams else {}
    for stream in needs.streams:
        unit.streams[stream] = one(connection, "SELECT sequence FROM streams WHERE stream = ?", (stream,)) or 0


def _adopt(state: WriterState, unit: cmd.Unit, packed: str | None) -> list[Job]:
    """The unit's own objects for these rows: a job is one object in one transaction."""
    jobs = []
    for number, job in rows.unpack(packed):
        state.numbers[job.id] = number
        jobs.append(unit.jobs.setdefault(job.id, job))
    return jobs


def _json_list(values: Any) -> str:
    return orjson.dumps(list(values)).decode()


def _load_jobs(connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit, ids: set[str]) -> None:
    sql = f"SELECT json_group_array({rows.PACKED_WITHOUT_PAYLOAD}) FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
    _adopt(state, unit, one(connection, sql, (_json_list(ids),)))


def _reserve_keys(connection: sqlite3.Connection, needs: cmd.Needs, unit: cmd.Unit) -> None:
    """Each key goes to the job that inserts it first; the rest find that job."""
    values = [(key, job_id, fingerprint, unit.now) for key, job_id, fingerprint in needs.keys]
    before = connection.total_changes
    write_rows(connection, "INSERT OR IGNORE INTO idempotency (key, job_id, fingerprint, created_at)", values)
    if connection.total_changes - before == len(values):  # all were free
        unit.keys = {key: (job_id, fingerprint) for key, job_id, fingerprint in needs.keys}
        return
    sql = "SELECT key, job_id, fingerprint FROM idempotency WHERE key IN (SELECT value FROM json_each(?))"
    found = connection.execute(sql, (_json_list(key for key, _, _ in needs.keys),)).fetchall()
    unit.keys = {key: (job_id, fingerprint) for key, job_id, fingerprint in found}
    mine = {job_id for _, job_id, _ in needs.keys}
    needs.job_ids.update(job_id for job_id, _ in unit.keys.values() if job_id not in mine)


def _load_uniques(connection: sqlite3.Connection, state: WriterState, needs: cmd.Needs, unit: cmd.Unit) -> None:
    sql = f"""SELECT json_group_array({rows.PACKED_WITHOUT_PAYLOAD}) FROM jobs
              WHERE type = ? AND unique_key = ? AND status NOT IN ('succeeded', 'failed', 'cancelled')"""
    for pair in needs.uniques:
        for job in _adopt(state, unit, one(connection, sql, pair)):
            unit.uniques[pair] = job


def _load_effects(connection: sqlite3.Connection, needs: cmd.Needs, unit: cmd.Unit) -> None:
    for pair in needs.effects:
        value = one(connection, "SELECT value FROM effects WHERE job_id = ? AND step = ?", pair)
        if value is not None:
            unit.effects[pair] = orjson.loads(value)


def _claimable(connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit, queue: str, limit: int) -> list[Job]:
    """The best jobs that the queue's conditions let go: not paused, below `max_running`, within the rate."""
    conditions = state.queues.get(queue)
    if conditions is not None:
        conditions = state.queues[queue] = replace(conditions)
        limit = min(limit, _allowance(connection, state, unit, queue, conditions))
    if limit <= 0:
        return []
    sql = f"""SELECT json_group_array({rows.PACKED}) FROM (
                SELECT * FROM jobs WHERE status = 'queued' AND queue = ? ORDER BY priority DESC, number LIMIT ?)"""
    found = _adopt(state, unit, one(connection, sql, (queue, limit)))
    if conditions is not None and conditions.rate_per_second is not None and found:
        conditions.tokens -= len(found)
        spent = (conditions.tokens, conditions.tokens_at, queue)
        connection.execute("UPDATE queues SET tokens = ?, tokens_at = ? WHERE name = ?", spent)
    return found


def _allowance(connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit, queue: str, conditions: QueueRow) -> int:
    if conditions.paused:
        return 0
    allowed = 1 << 30
    if conditions.max_running is not None:
        allowed = conditions.max_running - state.running.get(queue, 0)
    if conditions.rate_per_second is not None:  # a token bucket that holds one second's worth, at least one job
        gained = max(unit.now - conditions.tokens_at, 0) / 1_000_000 * conditions.rate_per_second
        conditions.tokens = min(max(conditions.rate_per_second, 1.0), conditions.tokens + gained)
        conditions.tokens_at = max(unit.now, conditions.tokens_at)
        allowed = min(allowed, int(conditions.tokens))
    return allowed


_PACKED_FROM = f"SELECT json_group_array({rows.PACKED_WITHOUT_PAYLOAD}) FROM (SELECT * FROM jobs WHERE"
_EXPIRED = f"""{_PACKED_FROM} expires_at IS NOT NULL AND lease_token = 0 AND status IN ('waiting', 'scheduled', 'queued')
               AND expires_at <= ? ORDER BY expires_at LIMIT ?)"""
_DUE = f"{_PACKED_FROM} status IN ('scheduled', 'retrying') AND run_at <= ? ORDER BY run_at LIMIT ?)"
_LOST = f"{_PACKED_FROM} status = 'running' AND lease_until <= ? ORDER BY lease_until LIMIT ?)"


def _load_tick(connection: sqlite3.Connection, state: WriterState, needs: cmd.Needs, unit: cmd.Unit) -> None:
    until = 1 << 62 if needs.rescue_all else unit.now
    unit.expired = _adopt(state, unit, one(connection, _EXPIRED, (unit.now, needs.tick)))
    unit.due = _adopt(state, unit, one(connection, _DUE, (unit.now, needs.tick)))
    unit.lost = _adopt(state, unit, one(connection, _LOST, (until, needs.tick)))
    minute = unit.now // cmd.MINUTE
    sql = "SELECT minute, subject_type, reason, count FROM refusals WHERE told = 0 AND minute < ?"
    unit.untold_refusals = connection.execute(sql, (minute,)).fetchall()
    for _, subject_type, _, _ in unit.untold_refusals:
        stream = f"contract/{subject_type}"
        unit.streams[stream] = one(connection, "SELECT sequence FROM streams WHERE stream = ?", (stream,)) or 0
    if unit.untold_refusals:
        connection.execute("UPDATE refusals SET told = 1 WHERE told = 0 AND minute < ?", (minute,))
    unit.next_due_at = next_due_at(connection, unit)


def next_due_at(connection: sqlite3.Connection, unit: cmd.Unit) -> int | None:
    """The earliest instant at which a tick has work, apart from what this one takes."""
    handled = {job.id for job in (*unit.due, *unit.lost, *unit.expired)}
    found = connection.execute(
        """SELECT id, at FROM (SELECT id, run_at AS at FROM jobs WHERE status IN ('scheduled', 'retrying') ORDER BY run_at LIMIT ?)
           UNION ALL SELECT id, at FROM (SELECT id, lease_until AS at FROM jobs WHERE status = 'running' ORDER BY lease_until LIMIT ?)
           UNION ALL SELECT id, at FROM (SELECT id, expires_at AS at FROM jobs WHERE expires_at IS NOT NULL AND lease_token = 0
                                         AND status IN ('waiting', 'scheduled', 'queued') ORDER BY expires_at LIMIT ?)""",
        (len(unit.due) + 1, len(unit.lost) + 1, len(unit.expired) + 1),
    ).fetchall()
    return min((at for job_id, at in found if job_id not in handled and at is not None), default=None)


def children(connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit, parents: Sequence[str]) -> dict[str, list[Job]]:
    """The children that wait for ended jobs, those of this transaction included; each end counts once."""
    if not state.has_edges and not unit.edges:
        return {}
    sql = """UPDATE edges SET settled = 1 WHERE settled = 0 AND parent_id IN (SELECT value FROM json_each(?))
             RETURNING parent_id, child_id"""
    pairs = connection.execute(sql, (_json_list(parents),)).fetchall() if state.has_edges else []
    wanted = set(parents)
    fresh = [pair for pair, settled in unit.edges.items() if not settled and pair[0] in wanted]
    unit.edges.update((pair, True) for pair in fresh)
    pairs += fresh
    missing = {child for _, child in pairs} - unit.jobs.keys()
    if missing:
        _load_jobs(connection, state, unit, missing)
    found: dict[str, list[Job]] = defaultdict(list)
    for parent, child in pairs:
        if child in unit.jobs:
            found[parent].append(unit.jobs[child])
    return found


# ---- writing ----------------------------------------------------------------------------------------------------

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
    if unit.streams:
        write_rows(connection, "INSERT OR REPLACE INTO streams (stream, sequence)", list(unit.streams.items()))
    events = _write_events(connection, state, unit, check)
    _write_counts(connection, state, unit)
    _write_queues(connection, state, unit)
    return events


def _write_jobs(connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit) -> None:
    fresh = []
    tags = []
    for job in unit.fresh:
        number = state.numbers[job.id] = state.next_number
        state.next_number += 1
        fresh.append(rows.insert_values(job, number))
        tags += [(tag, number) for tag in set(job.tags)]
        unit.dirty.pop(job.id, None)
    changed = [rows.update_values(job, state.numbers[job.id]) for job in unit.dirty.values()]
    if changed:  # first, so that a unique_key that one job gives up is free for a new one
        write_rows(connection, _UPDATE_JOB_HEAD, changed, ") AS v WHERE jobs.number = v.column1")
    if fresh:
        write_rows(connection, _INSERT_JOB, fresh)
    if tags:
        write_rows(connection, "INSERT INTO tags (tag, job_number)", tags)


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


_QUEUE_EVENTS = "dev.observatory.queue."


def _write_queues(connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit) -> None:
    for document in unit.documents:
        if not document["type"].startswith(_QUEUE_EVENTS):
            continue
        participle = document["type"].removeprefix(_QUEUE_EVENTS).removesuffix(".v1")
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


def advance(connection: sqlite3.Connection, cursor: str, position: int) -> None:
    connection.execute(
        """INSERT INTO cursors (name, position) VALUES (?, ?)
           ON CONFLICT (name) DO UPDATE SET position = max(position, excluded.position)""",
        (cursor, position),
    )


def keep_dead_letter(connection: sqlite3.Connection, letter: DeadLetter) -> None:
    connection.execute(
        """INSERT INTO dead_letters
               (id, trigger, source, event_id, event_type, reason, attempts, content_type, body, headers, kept_at, status)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'kept')
           ON CONFLICT (trigger, source, event_id) DO UPDATE SET attempts = attempts + excluded.attempts, reason = excluded.reason""",
        (letter.id, letter.trigger, letter.source, letter.event_id, letter.event_type, letter.reason, letter.attempts,
         letter.content_type, letter.body, strict_json.dumps_text(letter.headers), letter.kept_at),
    )  # fmt: skip


def record_refusals(connection: sqlite3.Connection, refusals: Sequence[Refusal], now: int) -> None:
    minute = now // cmd.MINUTE
    kept = one(connection, "SELECT sum(json_array_length(samples)) FROM refusals WHERE minute = ?", (minute,)) or 0
    for refusal in refusals:
        sample = []
        if refusal.sample is not None and kept < SAMPLES_A_MINUTE:
            sample, kept = [{"detail": refusal.detail, "sample": refusal.sample}], kept + 1
        connection.execute(
            """INSERT INTO refusals (minute, subject_type, reason, count, samples) VALUES (?1, ?2, ?3, 1, ?4)
               ON CONFLICT (minute, subject_type, reason) DO UPDATE SET count = count + 1,
                   samples = CASE WHEN ?4 = '[]' THEN samples ELSE json_insert(samples, '$[#]', json(json_extract(?4, '$[0]'))) END""",
            (minute, refusal.subject_type, refusal.reason, strict_json.dumps_text(sample)),
        )
