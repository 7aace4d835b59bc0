"""Writes on PostgreSQL that are no moves: dead letters, refusals, what is secret. Each is run within a write transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from contracts import strict_json
from functions.stores import commands as cmd
from functions.stores.backends.postgres_rows import named, plain
from functions.stores.backends.postgres_transaction import Transaction
from functions.stores.job_store import DeadLetter, Refusal

SAMPLES_A_MINUTE = 10
_PASSED = "what was away came back, and its reader has passed the event"


def keep_dead_letter(transaction: Transaction, letter: DeadLetter) -> None:
    transaction.add(
        "keep_dead_letter", id=letter.id, trigger=letter.trigger, source=plain(letter.source), event_id=plain(letter.event_id),
        event_type=letter.event_type and plain(letter.event_type), reason=plain(letter.reason), attempts=letter.attempts,
        content_type=plain(letter.content_type), body=letter.body, headers=strict_json.dumps_text(letter.headers), kept_at=letter.kept_at,
        position=letter.position,
    )  # fmt: skip


async def resolve_dead_letters(transaction: Transaction, readers: Sequence[str], position: int, claimers: Sequence[str]) -> int:
    done = await transaction.rows("resolve_dead_letters", readers=list(readers), position=position, claimers=list(claimers), outcome=_PASSED)
    return len(done)


async def hold(transaction: Transaction, name: str, holder: str, now: int, until: int) -> bool:
    return bool(await transaction.rows("hold", name=name, holder=holder, now=now, until=until))


def keep_secret_schemas(transaction: Transaction, schemas: Mapping[str, Any]) -> None:
    rows = [(job_type, strict_json.dumps_text(schema)) for job_type, schema in sorted(schemas.items())]
    transaction.add("keep_secret_schemas", rows=named(("type", "schema"), rows))


async def record_refusals(transaction: Transaction, refusals: Sequence[Refusal], now: int) -> None:
    """Under a lock, for the samples are counted over all types of a minute."""
    minute = now // cmd.MINUTE
    transaction.add("lock_refusals")
    known: dict[tuple[str, str], tuple[int, list[Any]]] = {
        (kind, reason): (count, orjson.loads(samples)) for kind, reason, count, samples in await transaction.rows("refusals_of_minute", minute=minute)
    }
    kept = sum(len(samples) for _, samples in known.values())
    changed = set()
    for refusal in refusals:
        key = (plain(refusal.subject_type), plain(refusal.reason))
        count, samples = known.get(key, (0, []))
        if refusal.sample is not None and kept < SAMPLES_A_MINUTE:
            samples, kept = [*samples, {"detail": refusal.detail, "sample": refusal.sample}], kept + 1
        known[key] = count + 1, samples
        changed.add(key)
    rows = [(*key, known[key][0], strict_json.dumps_text(known[key][1])) for key in sorted(changed)]
    transaction.add("write_refusals", minute=minute, rows=named(("subject_type", "reason", "count", "samples"), rows))
