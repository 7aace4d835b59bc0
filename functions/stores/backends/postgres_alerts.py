"""Alerts on PostgreSQL: one small row each, as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from contracts.alerts import Alert
from functions.stores.backends.postgres_rows import named
from functions.stores.backends.postgres_transaction import Transaction


def by_id(rows: Sequence[Any]) -> dict[str, Alert]:
    """The alerts of rows, by their ids."""
    return {key: Alert(**orjson.loads(state)) for key, state in rows}


def write(transaction: Transaction, changed: Mapping[str, Alert | None]) -> None:
    """Rows as they are to be; None takes one away."""
    rows = [(key, orjson.dumps(asdict(alert)).decode()) for key, alert in sorted(changed.items()) if alert is not None]
    if rows:
        transaction.add("write_alerts", rows=named(("id", "state"), rows))
    if gone := [key for key, alert in changed.items() if alert is None]:
        transaction.add("delete_alerts", ids=gone)
