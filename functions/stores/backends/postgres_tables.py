"""Deltas of statistics as rows: of the statistics themselves, and of the checkpoint."""

from collections.abc import Sequence
from typing import Any

from contracts.statistics import ALL_TIME, Delta
from functions.stores.backends.postgres_rows import named
from functions.stores.backends.postgres_statements import Call, call
from functions.stores.backends.postgres_transaction import Transaction

STATISTICS = "statistics"
CHECKPOINT = "checkpoint"
PARTS = {
    "states": ("queue", "type", "status", "jobs"),
    "sums": ("minute", "queue", "type", "measure", "value"),
    "buckets": ("minute", "queue", "type", "measure", "bucket", "count"),
}


def add_delta(transaction: Transaction, owner: str, delta: Delta) -> None:
    """Adds a delta to the rows of STATISTICS or CHECKPOINT; in one order, so that nobody waits in a circle."""
    for part, columns in PARTS.items():
        rows = [(*key, value) for key, value in sorted(getattr(delta, part).items())]
        if rows:
            transaction.add(f"{owner}_add_{part}", rows=named(columns, rows))


def reads(owner: str) -> list[Call]:
    """What to ask for `delta_of`."""
    return [call(f"{owner}_{part}") for part in PARTS]


def delta_of(answers: Sequence[Sequence[Any]]) -> Delta:
    return Delta(*({tuple(row[:-1]): row[-1] for row in rows} for rows in answers))


def drop_minutes(owner: str, before_minute: int) -> list[Call]:
    """Forgets the minutes from before this one; the sums since the beginning stay."""
    return [call(f"{owner}_drop_{part}", all_time=ALL_TIME, before=before_minute) for part in ("sums", "buckets")]
