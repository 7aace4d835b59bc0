"""What the checker of the invariants looks at, read from PostgreSQL by SQL in one snapshot.

A commit that has no place in the feed yet stands behind those that have, in the order in which it will get one.
"""

from typing import Any

import orjson
import psycopg
from psycopg.rows import dict_row
from psycopg.types.string import TextLoader

TABLES = ("attempts", "idempotency", "effects", "queues", "streams", "cursors", "checkpoints", "counts", "dead_letters",
          "statistics_states", "statistics_sums", "checkpoint_states", "checkpoint_sums", "schedules", "alerts", "unplaced")  # fmt: skip
_EVENTS = """
    SELECT p.last - p.events + 1 + e.place AS position, e.stream, e.sequence, e.type, e.time, e.body
    FROM observatory.events AS e LEFT JOIN observatory.placed AS p USING (commit_id)
    ORDER BY p.last NULLS LAST, e.commit_id, e.place"""


def read_postgres(url: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, list[dict[str, Any]]], int]:
    """Jobs in the order of acceptance, events in that of the feed, the other tables by name, and the head of the feed."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.adapters.register_loader("uuid", TextLoader)
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        jobs = connection.execute("SELECT * FROM observatory.jobs ORDER BY number").fetchall()
        events = connection.execute(_EVENTS).fetchall()
        tables = {name: connection.execute(f"SELECT * FROM observatory.{name}".encode()).fetchall() for name in TABLES}
        head = connection.execute("SELECT position FROM observatory.head").fetchone()
    assert head is not None
    position = head["position"]
    for event in events:
        if event["position"] is None:
            position += 1
            event["position"] = position
    _count_the_unplaced(tables)
    return jobs, events, tables, position


def _count_the_unplaced(tables: dict[str, list[dict[str, Any]]]) -> None:
    cells = {(row["queue"], row["type"], row["status"]): row for row in tables["counts"]}
    for commit in tables["unplaced"]:
        for change in orjson.loads(commit["counts"]):
            key = change["queue"], change["type"], change["status"]
            if key not in cells:
                cells[key] = change | {"jobs": 0}
                tables["counts"].append(cells[key])
            cells[key]["jobs"] += change["jobs"]
