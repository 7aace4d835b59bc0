"""Alerts on SQLite: one small row each, as JSON."""

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict

import orjson

from contracts.alerts import Alert
from functions.stores.backends.sqlite_database import write_rows


def read(connection: sqlite3.Connection) -> dict[str, Alert]:
    """The alerts that are kept, by their ids."""
    return {key: Alert(**orjson.loads(state)) for key, state in connection.execute("SELECT id, state FROM alerts")}


def write(connection: sqlite3.Connection, changed: Mapping[str, Alert | None]) -> None:
    """Rows as they are to be; None takes one away."""
    rows = [(key, orjson.dumps(asdict(alert)).decode()) for key, alert in changed.items() if alert is not None]
    if rows:
        write_rows(connection, "INSERT OR REPLACE INTO alerts (id, state)", rows)
    for key, alert in changed.items():
        if alert is None:
            connection.execute("DELETE FROM alerts WHERE id = ?", (key,))
