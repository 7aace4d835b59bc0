"""Deltas of statistics as rows: of the statistics themselves, and of the checkpoint."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from contracts.statistics import Delta
from functions.stores.backends.sqlite_database import write_rows

STATISTICS = "statistics"
CHECKPOINT = "checkpoint"
PARTS = {
    "states": (("queue", "type", "status"), "jobs"),
    "sums": (("minute", "queue", "type", "measure"), "value"),
    "buckets": (("minute", "queue", "type", "measure", "bucket"), "count"),
}


def add_delta(connection: sqlite3.Connection, owner: str, delta: Delta) -> None:
    """Adds a delta to the rows of STATISTICS or CHECKPOINT."""
    for part in PARTS:
        _add(connection, owner, part, getattr(delta, part))


def _add(connection: sqlite3.Connection, owner: str, part: str, changes: Mapping[tuple[Any, ...], int]) -> None:
    key, value = PARTS[part]
    columns = ", ".join(key)
    rows = [(*cell, change) for cell, change in changes.items()]
    write_rows(connection, f"INSERT INTO {owner}_{part} ({columns}, {value})", rows,
               f"ON CONFLICT ({columns}) DO UPDATE SET {value} = {value} + excluded.{value}")  # fmt: skip


def read_part(connection: sqlite3.Connection, owner: str, part: str) -> dict[Any, int]:
    key, value = PARTS[part]
    return {row[:-1]: row[-1] for row in connection.execute(f"SELECT {', '.join(key)}, {value} FROM {owner}_{part} WHERE {value} != 0")}


def read_delta(connection: sqlite3.Connection, owner: str) -> Delta:
    return Delta(*(read_part(connection, owner, part) for part in PARTS))
