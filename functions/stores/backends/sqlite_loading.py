"""The reading half of one write transaction on SQLite: what the commands need."""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from heapq import merge
from itertools import islice
from typing import Any

import orjson

from contracts.job import Job
from functions.stores import commands as cmd
from functions.stores.backends import sqlite_bulk as bulk
from functions.stores.backends import sqlite_rows as rows
from functions.stores.backends.sqlite_database import one, write_rows
from functions.stores.backends.sqlite_state import QueueRow, WriterState


def load(connection: sqlite3.Connection, state: WriterState, needs: cmd.Needs, unit: cmd.Unit) -> None:
    """Fills the unit with what its commands asked for."""
    if needs.keys:
        _reserve_keys(connection, needs, unit)
    if ids := needs.job_ids | needs.ending | needs.looked_at:
        _load_jobs(connection, state, unit, ids)
        needs.uniques.update((job.type, job.unique_key) for job in unit.jobs.values() if job.unique_key is not None)
    if needs.uniques:
        _load_uniques(connection, state, needs, unit)
    if needs.effects:
        _load_effects(connection, needs, unit)
    if needs.operations:
        unit.operations = bulk.states(connection, needs.operations)
    for queue, limit in needs.claims.items():
        unit.claimable[queue] = _claimable(connection, state, unit, queue, limit, needs.passed_over[queue])
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
    theirs = {job_id for job_id, _ in unit.keys.values() if job_id not in mine}
    needs.job_ids.update(theirs)
    if theirs:
        sql = "SELECT job_id, status FROM gone WHERE job_id IN (SELECT value FROM json_each(?))"
        unit.gone = dict(connection.execute(sql, (_json_list(theirs),)).fetchall())


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


def _claimable(
    connection: sqlite3.Connection, state: WriterState, unit: cmd.Unit, queue: str, limit: int, passed_over: Collection[str]
) -> list[Job]:
    """The best jobs that the queue's conditions let go: not paused, below `max_running`, within the rate."""
    conditions = state.queues.get(queue)
    if conditions is not None:
        conditions = state.queues[queue] = replace(conditions)
        limit = min(limit, _allowance(connection, state, unit, queue, conditions))
    if limit <= 0:
        return []
    if passed_over:
        numbers = _json_list(_best_of_types(connection, state, queue, limit, passed_over))
        found = _adopt(state, unit, one(connection, _BY_NUMBER, (numbers,)))
    else:
        found = _adopt(state, unit, one(connection, _BEST, (queue, limit)))
    if conditions is not None and conditions.rate_per_second is not None and found:
        conditions.tokens -= len(found)
        spent = (conditions.tokens, conditions.tokens_at, queue)
        connection.execute("UPDATE queues SET tokens = ?, tokens_at = ? WHERE name = ?", spent)
    return found


_BEST = f"""SELECT json_group_array({rows.PACKED}) FROM (
              SELECT * FROM jobs WHERE status = 'queued' AND queue = ? ORDER BY priority DESC, number LIMIT ?)"""
_BY_NUMBER = f"""SELECT json_group_array({rows.PACKED}) FROM (
                   SELECT * FROM jobs WHERE number IN (SELECT value FROM json_each(?)) ORDER BY priority DESC, number)"""


def _best_of_types(
    connection: sqlite3.Connection, state: WriterState, queue: str, limit: int, passed_over: Collection[str]
) -> list[int]:
    """The numbers of the best jobs of all other types that wait in the queue: the best of each, merged."""
    types = {job_type for (of, job_type, status), jobs in state.counts.items() if of == queue and status == "queued" and jobs}
    sql = "SELECT -priority, number FROM jobs WHERE status = 'queued' AND queue = ? AND type = ? ORDER BY priority DESC, number LIMIT ?"
    ranked = [connection.execute(sql, (queue, job_type, limit)).fetchall() for job_type in sorted(types.difference(passed_over))]
    return [number for _, number in islice(merge(*ranked), limit)]


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
