"""One write transaction: statements gather, and go out together with the next question or with the commit."""

from typing import Any

import psycopg

from functions.stores.backends.postgres_connection import PostgresConnection, Rows
from functions.stores.backends.postgres_statements import BEGIN, COMMIT, ROLLBACK, Call, call


class Transaction:
    """On `connection`, of which nobody else makes use meanwhile. Nothing is sent before it must be."""

    def __init__(self, connection: PostgresConnection, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self._pending: list[Call] = [BEGIN]

    def add(self, name: str, /, **values: Any) -> None:
        """A statement whose answer nobody needs."""
        self._pending.append(call(name, **values))

    async def ask(self, *calls: Call) -> list[Rows]:
        """The rows of each, in one round trip with all that gathered."""
        before, self._pending = self._pending, []
        return (await self._connection.ask([*before, *calls], self._seconds))[len(before) :]

    async def rows(self, name: str, /, **values: Any) -> Rows:
        return (await self.ask(call(name, **values)))[0]

    async def commit(self, *last: Call) -> list[Rows]:
        """The rows of `last`, after the commit. What was not begun yet goes out as one message, which is a transaction by itself."""
        if self._pending[:1] != [BEGIN]:
            return (await self.ask(*last, COMMIT))[:-1]
        del self._pending[0]
        return await self.ask(*last) if last or self._pending else []

    async def roll_back(self) -> None:
        """Also after a fault; a connection that is lost needs none."""
        self._pending = []
        if not self._connection.closed and self._connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            await self._connection.ask([ROLLBACK], self._seconds)


class Questions:
    """Questions of one round trip, each with who takes its answer."""

    def __init__(self) -> None:
        self._asked: list[tuple[Call, Any]] = []

    def add(self, take: Any, name: str, /, **values: Any) -> None:
        self._asked.append((call(name, **values), take))

    async def ask(self, transaction: Transaction) -> None:
        if self._asked:
            answers = await transaction.ask(*(asked for asked, _ in self._asked))
            for (_, take), rows in zip(self._asked, answers, strict=True):
                if take is not None:
                    take(rows)
