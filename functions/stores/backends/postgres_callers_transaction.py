"""Jobs that are submitted within a caller's own transaction: they are there if it commits, and only then.

The caller's psycopg connection may be a sync or an async one. Nothing waits here for a position in the feed: a notification,
which PostgreSQL sends with the commit, asks the functions that listen to give it one.
"""

import random
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection, errors
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.string import TextLoader

from contracts.errors import ConfigurationError, ObservatoryError, StoreUnavailable
from contracts.job import JobRequest
from functions.stores import commands as cmd
from functions.stores.backends.postgres_connection import Rows
from functions.stores.backends.postgres_statements import Call, statement
from functions.stores.backends.postgres_transaction import Transaction
from functions.stores.backends.postgres_work import Check, Unsure, Workshop
from functions.stores.job_store import Submitted

Value = TypeVar("Value")
TRIES = 6
_BEGIN, _COMMIT = Call(statement("SAVEPOINT observatory")), Call(statement("RELEASE SAVEPOINT observatory"))
_UNDO = Call(statement("ROLLBACK TO SAVEPOINT observatory"))
_TELL = Call(statement("SELECT pg_notify('observatory', 'unplaced')"))


class CallersTransaction(Transaction):
    """A savepoint within the transaction of `connection`, statement by statement; what it leaves set there is as it was."""

    def __init__(self, connection: "Connection[Any] | AsyncConnection[Any]") -> None:
        self._callers = connection
        self._pending = [_BEGIN]

    async def ask(self, *calls: Call) -> list[Rows]:
        before, self._pending = self._pending, []
        answers = [await self._execute(one) for one in [*before, *calls]]
        return answers[len(before) :]

    async def commit(self, *last: Call) -> list[Rows]:
        return (await self.ask(*last, _TELL, _COMMIT))[: len(last)]

    async def roll_back(self) -> None:
        self._pending = []
        await self.ask(_UNDO, _COMMIT)

    async def _execute(self, asked: Call) -> Rows:
        if isinstance(self._callers, AsyncConnection):
            async with self._callers.cursor(row_factory=tuple_row) as cursor:
                cursor.adapters.register_loader("uuid", TextLoader)
                await cursor.execute(asked.statement.sql, asked.values)
                return await cursor.fetchall() if cursor.description is not None else []
        with self._callers.cursor(row_factory=tuple_row) as plain:
            plain.adapters.register_loader("uuid", TextLoader)
            plain.execute(asked.statement.sql, asked.values)
            return plain.fetchall() if plain.description is not None else []


async def submit_within(
    connection: "Connection[Any] | AsyncConnection[Any]", requests: Sequence[JobRequest], check: Check
) -> list[Submitted | ObservatoryError]:
    """As JobStore's `submit`, within the transaction at hand; a refused request leaves no trace in it.

    Raises ConfigurationError when there is no transaction or no Observatory in that database; psycopg.Error as any statement
    of the caller's does, after which the transaction is the caller's to roll back.
    """
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise ConfigurationError("the connection has no transaction to submit in: it is in autocommit mode, so begin one (with connection.transaction(): ...)")
    workshop = Workshop(check, random.random)
    for turn in range(TRIES):
        transaction = CallersTransaction(connection)
        try:
            workshop.source, now = await _deployment(transaction)
            return (await workshop.do(transaction, [cmd.Submit(requests)], now)).answers[0]
        except Unsure as unsure:
            if not isinstance(unsure.__cause__, errors.UniqueViolation) or turn == TRIES - 1:
                raise unsure.__cause__ or unsure from None
            await transaction.roll_back()  # somebody else took a unique_key just now: look again
        except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
            await transaction.roll_back()
            raise ConfigurationError("this database holds no Observatory: jobs and the caller's own tables must be in one database") from error
        except psycopg.Error:
            raise
        except Exception:
            await transaction.roll_back()
            raise
    raise AssertionError


async def _deployment(transaction: Transaction) -> tuple[str, int]:
    """Whose database it is, and its clock. Raises StoreUnavailable."""
    found = await transaction.rows("deployment_now")
    if not found:
        raise StoreUnavailable("this database holds a part of a data folder that is carried over into it; try again when that has ended")
    source, now = found[0]
    return source, now


def at_once(work: Coroutine[Any, Any, Value]) -> Value:
    """Runs a coroutine that never waits, as one over a sync connection: its calls return when they are done."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    work.close()
    raise RuntimeError("it waited; an async connection needs `await`")
