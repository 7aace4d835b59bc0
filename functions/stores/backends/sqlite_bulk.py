"""Bulk operations on SQLite: each keeps the ids that it was begun for, 16 bytes a job."""

import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from contracts.errors import NotFound
from functions.stores.bulk import BulkOperation, BulkState

_COLUMNS = "id, action, query, actor, reason, created_at, matched, state"


def begin(connection: sqlite3.Connection, operation: BulkOperation, job_ids: Sequence[str]) -> None:
    items = b"".join(uuid.UUID(job_id).bytes for job_id in job_ids) or None
    values = (operation.id, operation.action, operation.query, operation.actor, operation.reason, operation.created_at, operation.matched)
    connection.execute(f"INSERT INTO bulk_operations ({_COLUMNS}, items) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, _text(operation.state), items))


def save(connection: sqlite3.Connection, operation: str, state: BulkState) -> None:
    """A finished one needs its ids no longer."""
    items = ", items = NULL" if state.finished_at is not None else ""
    connection.execute(f"UPDATE bulk_operations SET state = ?{items} WHERE id = ?", (_text(state), operation))


def states(connection: sqlite3.Connection, operations: Iterable[str]) -> dict[str, BulkState]:
    sql = "SELECT id, state FROM bulk_operations WHERE id IN (SELECT value FROM json_each(?))"
    return {row[0]: BulkState(**orjson.loads(row[1])) for row in connection.execute(sql, (orjson.dumps(list(operations)).decode(),))}


def one(connection: sqlite3.Connection, operation: str) -> BulkOperation:
    row = connection.execute(f"SELECT {_COLUMNS} FROM bulk_operations WHERE id = ?", (operation,)).fetchone()
    if row is None:
        raise NotFound(f"there is no bulk operation {operation}; GET /v1/bulk lists them")
    return _operation(row)


def newest(connection: sqlite3.Connection, limit: int, *, open_only: bool = False) -> list[BulkOperation]:
    where = "WHERE items IS NOT NULL" if open_only else ""
    found = connection.execute(f"SELECT {_COLUMNS} FROM bulk_operations {where} ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
    return [_operation(row) for row in found]


def items(connection: sqlite3.Connection, operation: str, at: int, limit: int) -> list[str]:
    row = connection.execute("SELECT substr(items, ?, ?) FROM bulk_operations WHERE id = ?", (at * 16 + 1, limit * 16, operation)).fetchone()
    found = row[0] if row and row[0] else b""
    return [str(uuid.UUID(bytes=found[place : place + 16])) for place in range(0, len(found), 16)]


def _operation(row: Sequence[Any]) -> BulkOperation:
    return BulkOperation(*(*row[:7], BulkState(**orjson.loads(row[7]))))


def _text(state: BulkState) -> str:
    return orjson.dumps(asdict(state)).decode()
