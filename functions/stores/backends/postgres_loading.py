"""The reading half of one write transaction on PostgreSQL: what the commands need, locked in one order.

Everywhere the same order, so that transactions seldom wait for each other in a circle: schedules, streams, keys, jobs (by id),
queues, then what nobody waits for (claims and due jobs pass over what others hold).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from contracts.job import Job
from functions.stores import commands as cmd
from functions.stores.backends import postgres_alerts as alerts
from functions.stores.backends import postgres_bulk as bulk
from functions.stores.backends import postgres_schedules as schedules
from functions.stores.backends.postgres_claiming import Claiming
from functions.stores.backends.postgres_rows import packed, uuids
from functions.stores.backends.postgres_transaction import Questions, Transaction
from functions.stores.rows import job_of

EVER = 1 << 62


@dataclass(slots=True)
class Families:
    """The children that wait for jobs of this transaction, all of them locked."""

    pairs: dict[str, set[str]] = field(default_factory=dict)  # parent -> children
    settled: list[tuple[str, str]] = field(default_factory=list)

    def take(self, rows: Iterable[tuple[str, str]]) -> None:
        for parent, child in rows:
            self.pairs.setdefault(parent, set()).add(child)

    def children(self, unit: cmd.Unit, parents: Sequence[str]) -> dict[str, list[Job]]:
        """The children that wait for ended jobs, those of this transaction included; each end counts once."""
        found: dict[str, list[Job]] = defaultdict(list)
        for parent in parents:
            for child in sorted(self.pairs.pop(parent, ())):
                self.settled.append((parent, child))
                if child in unit.jobs:
                    found[parent].append(unit.jobs[child])
        wanted = set(parents)
        for (parent, child), settled in unit.edges.items():
            if not settled and parent in wanted:
                unit.edges[parent, child] = True
                found[parent].append(unit.jobs[child])
        return found


async def load(transaction: Transaction, needs: cmd.Needs, unit: cmd.Unit) -> Families:
    """Fills the unit with what its commands asked for."""
    families, questions = Families(), Questions()
    claiming = Claiming(needs.claims, needs.passed_over, unit)
    _ask_for_streams(questions, needs.streams - unit.streams.keys(), unit)
    _ask_for_keys(questions, needs, unit)
    _ask_for_jobs(questions, needs, unit, families)
    _ask_for_rest(questions, needs, unit)
    claiming.ask(questions)
    if needs.tick:
        _ask_for_tick(questions, needs, unit)
    await questions.ask(transaction)
    await _load_what_follows(transaction, needs, unit, families, claiming)
    return families


def _adopt(unit: cmd.Unit, rows: Iterable[Sequence[Any]]) -> list[Job]:
    """The unit's own objects for these rows: a job is one object in one transaction."""
    jobs = []
    for row in rows:
        job = unit.jobs.get(row[0])
        if job is None:
            job = unit.jobs[row[0]] = job_of(row)
        jobs.append(job)
    return jobs


# ---- the first round --------------------------------------------------------------------------------------------


def _ask_for_streams(questions: Questions, streams: Iterable[str], unit: cmd.Unit) -> None:
    if names := sorted(streams):
        questions.add(None, "lock_streams", streams=names)
        questions.add(unit.streams.update, "read_streams", streams=names)


def _ask_for_keys(questions: Questions, needs: cmd.Needs, unit: cmd.Unit) -> None:
    """Each key goes to the job that inserts it first; the rest find that job."""
    if not needs.keys:
        return

    def take(rows: Sequence[Any]) -> None:
        mine = {job_id for _, job_id, _ in needs.keys}
        unit.keys = {key: (job_id, fingerprint) for key, job_id, fingerprint, _ in rows}
        unit.gone = {job_id: status for _, job_id, _, status in rows if status is not None and job_id not in mine}

    rows = packed({"key": key, "job_id": job_id, "fingerprint": fingerprint.hex()} for key, job_id, fingerprint in needs.keys)
    questions.add(None, "reserve_keys", rows=rows, now=unit.now)
    questions.add(take, "holders_of_keys", keys=[key for key, _, _ in needs.keys])


def _ask_for_jobs(questions: Questions, needs: cmd.Needs, unit: cmd.Unit, families: Families) -> None:
    ending, ids = uuids(needs.ending), uuids(needs.job_ids - needs.ending)
    if ids:
        questions.add(lambda rows: _adopt(unit, rows), "lock_jobs", ending=ending, ids=ids)
    if ending:
        _ask_for_ending(questions, ending, unit, families)
    if looked_at := uuids(needs.looked_at - needs.ending - needs.job_ids):
        questions.add(lambda rows: _adopt(unit, rows), "look_at_jobs", ids=looked_at)


def _ask_for_ending(questions: Questions, ending: Sequence[str], unit: cmd.Unit, families: Families) -> None:
    questions.add(lambda rows: _adopt(unit, rows), "lock_ending", ending=ending)
    questions.add(families.take, "waiting_children", ending=ending)


def _ask_for_rest(questions: Questions, needs: cmd.Needs, unit: cmd.Unit) -> None:
    if needs.uniques:
        _ask_for_uniques(questions, needs.uniques, unit)
    if needs.effects:
        pairs = packed({"job_id": job_id, "step": step} for job_id, step in needs.effects if uuids([job_id]))
        questions.add(lambda rows: unit.effects.update(((row[0], row[1]), orjson.loads(row[2])) for row in rows), "read_effects", pairs=pairs)
    if needs.operations:
        questions.add(lambda rows: unit.operations.update(bulk.states(rows)), "lock_bulk", ids=uuids(needs.operations))
    if needs.streams:
        questions.add(lambda rows: unit.paused.update((row[0], row[1]) for row in rows), "queue_flags")


def _ask_for_uniques(questions: Questions, pairs: Iterable[tuple[str, str]], unit: cmd.Unit) -> None:
    def take(rows: Sequence[Any]) -> None:
        for job in _adopt(unit, rows):
            unit.uniques[job.type, job.unique_key or ""] = job

    questions.add(take, "holders_of_unique_keys", pairs=packed({"type": kind, "unique_key": key} for kind, key in pairs))


def _ask_for_tick(questions: Questions, needs: cmd.Needs, unit: cmd.Unit) -> None:
    until = EVER if needs.rescue_all else unit.now
    questions.add(lambda rows: unit.expired.extend(_adopt(unit, rows)), "expired", now=unit.now, limit=needs.tick)
    questions.add(lambda rows: unit.due.extend(_adopt(unit, rows)), "due", now=unit.now, limit=needs.tick)
    questions.add(lambda rows: unit.lost.extend(_adopt(unit, rows)), "lost", until=until, limit=needs.tick)
    questions.add(unit.untold_refusals.extend, "tell_refusals", minute=unit.now // cmd.MINUTE)


# ---- what the answers of the first round ask for ----------------------------------------------------------------


async def _load_what_follows(
    transaction: Transaction, needs: cmd.Needs, unit: cmd.Unit, families: Families, claiming: Claiming
) -> None:
    questions = Questions()
    holders = {job_id for job_id, _ in unit.keys.values()} - {job_id for _, job_id, _ in needs.keys}
    if parents := _known_parents(needs, unit, holders):
        questions.add(lambda rows: _look_again(unit, parents, rows), "look_at_jobs", ids=uuids(parents))
    if unread := holders - unit.jobs.keys() - parents:
        questions.add(lambda rows: _adopt(unit, rows), "read_jobs", ids=uuids(unread))
    again = {(job.type, job.unique_key) for job in unit.jobs.values() if job.unique_key is not None and job.finished_at is not None}
    if missing := again - needs.uniques:  # for those that somebody may want to reopen
        _ask_for_uniques(questions, missing, unit)
    locked: set[str] = set()
    touched = Families()  # by the ends of lost and expired jobs
    if ending := uuids(job.id for job in (*unit.lost, *unit.expired)):
        questions.add(lambda rows: locked.update(job.id for job in _adopt(unit, rows)), "try_ending", ending=ending)
        questions.add(touched.take, "waiting_children", ending=ending)
    _ask_for_streams(questions, {f"contract/{subject}" for _, subject, _, _ in unit.untold_refusals} - unit.streams.keys(), unit)
    claiming.ask_limited(questions)
    if needs.tick:
        handled = uuids(job.id for job in (*unit.due, *unit.lost, *unit.expired))
        questions.add(lambda rows: _take_next_due(unit, *rows[0]), "next_due_at", now=unit.now, handled=handled)
    await questions.ask(transaction)
    claiming.spend(transaction)
    _leave_held_up(unit, families, touched, locked)
    if dropped := holders - unit.jobs.keys() - unit.gone.keys():  # by retention, since their keys were asked for
        unit.gone.update(await transaction.rows("gone", ids=uuids(dropped)))
    await _load_late_children(transaction, unit, families)


def _take_next_due(unit: cmd.Unit, at: int | None, held_up: bool) -> None:
    unit.next_due_at, unit.held_up = at, held_up


def _leave_held_up(unit: cmd.Unit, families: Families, touched: Families, locked: set[str]) -> None:
    """Lost and expired jobs with somebody behind them whom another transaction holds are left for a later tick."""

    def is_free(job: Job) -> bool:
        behind, seen = [job.id], {job.id}
        while behind:
            fresh = touched.pairs.get(behind.pop(), set()) - seen
            seen |= fresh
            behind += fresh
        if seen <= locked:
            families.take((parent, child) for parent in seen for child in touched.pairs.get(parent, ()))
            return True
        unit.held_up = True
        return False

    unit.lost = [job for job in unit.lost if is_free(job)]
    unit.expired = [job for job in unit.expired if is_free(job)]


def _known_parents(needs: cmd.Needs, unit: cmd.Unit, holders: set[str]) -> set[str]:
    """Jobs that are there already, stand for an item of a batch that others wait for, and are not locked yet."""
    by_key = {unit.keys[key][0] for key in needs.parent_keys} & holders
    by_unique_key = {unit.uniques[pair].id for pair in needs.parent_uniques if pair in unit.uniques}
    return (by_key | by_unique_key) - needs.ending - needs.job_ids - needs.looked_at


def _look_again(unit: cmd.Unit, ids: set[str], rows: Sequence[Any]) -> None:
    """What was read of these jobs before they were locked is forgotten."""
    for job_id in ids:
        unit.jobs.pop(job_id, None)
    unit.uniques = {pair: job for pair, job in unit.uniques.items() if job.id not in ids}
    for job in _adopt(unit, rows):
        if job.unique_key is not None and job.finished_at is None:
            unit.uniques[job.type, job.unique_key] = job


async def _load_late_children(transaction: Transaction, unit: cmd.Unit, families: Families) -> None:
    """Children that were submitted while the locks of their parents were waited for."""
    while missing := {child for children in families.pairs.values() for child in children} - unit.jobs.keys():
        questions = Questions()
        known = len(unit.jobs)
        _ask_for_ending(questions, uuids(missing), unit, families)
        await questions.ask(transaction)
        if len(unit.jobs) == known:
            return  # rows that are not there


async def load_before_plans(transaction: Transaction, needs: cmd.Needs, unit: cmd.Unit) -> None:
    """The schedules and alerts that commands asked for, each kind under a lock, and the streams that are known to be needed."""
    questions = Questions()
    if needs.all_schedules or needs.schedules or needs.due_schedules:
        questions.add(None, "lock_schedules")
        _ask_for_streams(questions, needs.streams, unit)
        schedules.ask(questions, needs, unit)
    if needs.alerts:
        questions.add(None, "lock_alerts")
        questions.add(lambda rows: unit.alerts.update(alerts.by_id(rows)), "alerts")
    await questions.ask(transaction)
