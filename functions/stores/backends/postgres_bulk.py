"""Bulk operations on PostgreSQL: each keeps the ids that it was begun for, 16 bytes a job."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from contracts.errors import NotFound
from contracts.ids import is_uuid
from functions.stores import commands as cmd
from functions.stores.backends.postgres_database import PostgresDatabase
from functions.stores.backends.postgres_transaction import Transaction
from functions.stores.bulk import BulkOperation, BulkState

WIDTH = 16


def begin(transaction: Transaction, operation: BulkOperation, job_ids: Sequence[str]) -> None:
    items = b"".join(uuid.UUID(job_id).bytes for job_id in job_ids) or None
    transaction.add(
        "begin_bulk", id=operation.id, action=operation.action, query=operation.query, actor=operation.actor, reason=operation.reason,
        created_at=operation.created_at, matched=operation.matched, state=_text(operation.state), items=items,
    )  # fmt: skip


def save(transaction: Transaction, unit: cmd.Unit) -> None:
    for operation in sorted(unit.dirty_operations):
        state = unit.operations[operation]
        transaction.add("save_bulk", id=operation, state=_text(state), finished=state.finished_at is not None)


def states(rows: Iterable[Sequence[Any]]) -> dict[str, BulkState]:
    return {row[0]: BulkState(**orjson.loads(row[1])) for row in rows}


async def one(database: PostgresDatabase, operation: str) -> BulkOperation:
    rows = await database.rows("bulk", id=operation) if is_uuid(operation) else []
    if not rows:
        raise NotFound(f"there is no bulk operation {operation}; GET /v1/bulk lists them")
    return _operation(rows[0])


async def newest(database: PostgresDatabase, limit: int, *, open_only: bool = False) -> list[BulkOperation]:
    return [_operation(row) for row in await database.rows("bulks", limit=limit, open_only=open_only)]


async def items(database: PostgresDatabase, operation: str, at: int, limit: int) -> list[str]:
    rows = await database.rows("bulk_items", id=operation, start=at * WIDTH + 1, length=limit * WIDTH) if is_uuid(operation) else []
    found = bytes(rows[0][0] or b"") if rows else b""
    return [str(uuid.UUID(bytes=found[place : place + WIDTH])) for place in range(0, len(found), WIDTH)]


def _operation(row: Sequence[Any]) -> BulkOperation:
    return BulkOperation(*(*row[:7], BulkState(**orjson.loads(row[7]))))


def _text(state: BulkState) -> str:
    return orjson.dumps(asdict(state)).decode()
