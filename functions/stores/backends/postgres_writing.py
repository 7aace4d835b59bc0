"""The writing half of one write transaction on PostgreSQL: what the commands changed, as statements of many rows."""

from collections.abc import Callable, Iterable
from typing import Any

from contracts import strict_json
from contracts.event import Event
from contracts.times import MICROSECONDS
from functions.stores import commands as cmd
from functions.stores.backends import postgres_alerts as alerts
from functions.stores.backends import postgres_bulk as bulk
from functions.stores.backends import postgres_schedules as schedules
from functions.stores.backends.postgres_loading import Families
from functions.stores.backends.postgres_rows import attempt_row, changed_row, named, new_row, packed
from functions.stores.backends.postgres_statements import Call, call
from functions.stores.backends.postgres_transaction import Transaction
from functions.stores.rows import to_json


class Seen:
    """When each worker was written down last by this process: at most once a second."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, str], int] = {}

    def fresh(self, pairs: Iterable[tuple[str, str]], now: int) -> list[tuple[str, str]]:
        found = sorted(pair for pair in pairs if now - self._at.get(pair, 0) >= MICROSECONDS)
        self._at.update(dict.fromkeys(found, now))
        return found


def flush(transaction: Transaction, unit: cmd.Unit, families: Families, seen: Seen) -> None:
    """Adds what the commands changed to the transaction, all but the events."""
    _write_jobs(transaction, unit)
    if unit.attempts:
        transaction.add("insert_attempts", rows=packed(map(attempt_row, unit.attempts)))
    _write_keys(transaction, unit)
    _write_edges(transaction, unit, families)
    if unit.new_effects:
        effects = [(job_id, step, token, to_json(value) or "null") for job_id, step, token, value in unit.new_effects]
        transaction.add("insert_effects", rows=named(("job_id", "step", "lease_token", "value"), effects))
    bulk.save(transaction, unit)
    if unit.streams:
        transaction.add("write_streams", rows=named(("stream", "sequence"), sorted(unit.streams.items())))
    for document in unit.documents:
        if document["type"].startswith(cmd.QUEUE_EVENTS):
            _write_queue(transaction, document, unit.now)
        elif document["type"].startswith(cmd.DEAD_LETTER_EVENTS):
            _write_dead_letter(transaction, document)
    if unit.changed_schedules:
        schedules.write(transaction, {name: unit.schedules.get(name) for name in unit.changed_schedules})
    if unit.changed_alerts:
        alerts.write(transaction, unit.changed_alerts)
    if unit.seen and (fresh := seen.fresh(unit.seen, unit.now)):
        transaction.add("write_seen", rows=named(("queue", "worker"), fresh), now=unit.now)


def _write_jobs(transaction: Transaction, unit: cmd.Unit) -> None:
    for job in unit.fresh:
        unit.dirty.pop(job.id, None)
    if unit.dirty:  # first, so that a unique_key that one job gives up is free for a new one
        transaction.add("update_jobs", rows=packed(map(changed_row, unit.dirty.values())))
    if unit.fresh:
        transaction.add("insert_jobs", rows=packed(map(new_row, unit.fresh)))


def _write_keys(transaction: Transaction, unit: cmd.Unit) -> None:
    pointed = [(key, to[0], to[1].hex()) for key, to in sorted(unit.rekeyed.items()) if to is not None]
    if pointed:
        transaction.add("point_keys", rows=named(("key", "job_id", "fingerprint"), pointed), now=unit.now)
    if free := [key for key, to in unit.rekeyed.items() if to is None]:
        transaction.add("free_keys", keys=sorted(free))


def _write_edges(transaction: Transaction, unit: cmd.Unit, families: Families) -> None:
    if unit.edges:
        edges = [(parent, child, settled) for (parent, child), settled in unit.edges.items()]
        transaction.add("insert_edges", rows=named(("parent_id", "child_id", "settled"), edges))
    if families.settled:
        transaction.add("settle_edges", rows=named(("parent_id", "child_id"), families.settled))


def _write_queue(transaction: Transaction, document: dict[str, Any], now: int) -> None:
    participle = document["type"].removeprefix(cmd.QUEUE_EVENTS).removesuffix(".v1")
    data = document["data"]
    if participle == "configured":
        transaction.add("configure_queue", name=data["name"], max_running=data["max_running"], rate=data["rate_per_second"],
                        paused=data["paused"], now=now)  # fmt: skip
    else:
        paused = participle == "paused"
        transaction.add("pause_queue", name=data["name"], paused=paused, by=document["actor"] if paused else None, at=now if paused else None)


def _write_dead_letter(transaction: Transaction, document: dict[str, Any]) -> None:
    status, outcome = cmd.letter_after(document)
    transaction.add("tell_dead_letter", id=document["data"]["id"], status=status, outcome=outcome)


# ---- events -----------------------------------------------------------------------------------------------------


def checked(documents: Iterable[dict[str, Any]], check: Callable[[Event], None]) -> list[Event]:
    """The events of a transaction, each valid."""
    events = [Event(document) for document in documents]
    for event in events:
        check(event)
    return events


def told(events: list[Event], now: int) -> Call:
    """The statement that writes a transaction's events, and what they change in the counts; it answers the commit's number."""
    documents = [event.document for event in events]
    rows = [
        {"place": place, "stream": document["subject"], "sequence": int(document["sequence"]), "type": document["type"],
         "body": strict_json.dumps_text(document)}
        for place, document in enumerate(documents)
    ]
    counts = [
        {"queue": queue, "type": kind, "status": status, "jobs": change}
        for (queue, kind, status), change in cmd.state_deltas(documents).items() if change
    ]  # fmt: skip
    return call("insert_events", events=len(rows), rows=packed(rows), counts=packed(counts), now=now)
