"""A connection for one thread. Queries and the one who keeps the index up work in threads, as the search of every store does."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.string import TextLoader

from functions.stores.backends.postgres_database import PostgresDatabase
from functions.stores.backends.postgres_statements import STATEMENTS

_SNAPSHOT = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class ThreadLink:
    """Made when it is needed, and made anew after it was lost; with `keeps_locks` not by itself, for what it held is gone then."""

    def __init__(self, database: PostgresDatabase, seconds: float, *, keeps_locks: bool = False) -> None:
        self._database, self._seconds, self._keeps_locks = database, seconds, keeps_locks
        self._connection: psycopg.Connection[Any] | None = None

    def rows(self, name: str, /, **values: Any) -> list[Any]:
        """Raises psycopg.Error."""
        cursor = self._open().execute(STATEMENTS[name].sql, values or None)
        return cursor.fetchall() if cursor.description is not None else []

    def snapshot(self) -> AbstractContextManager[None]:
        """All that is asked within it sees one moment."""
        return self._transaction(_SNAPSHOT, b"ROLLBACK")

    def step(self) -> AbstractContextManager[None]:
        """All that is written within it, or nothing."""
        return self._transaction(b"BEGIN", b"COMMIT")

    @contextmanager
    def _transaction(self, begin: bytes, end: bytes) -> Iterator[None]:
        connection = self._open()
        connection.execute(begin)
        try:
            yield
            connection.execute(end)
        finally:
            if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
                with suppress(psycopg.Error):
                    connection.execute(b"ROLLBACK")

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.closed

    def reopen(self) -> None:
        """Lets it be made anew."""
        self.close()
        self._connection = None

    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is not None and self._connection.closed:
            if self._keeps_locks:
                raise psycopg.OperationalError("the connection was lost")
            self._connection = None
        if self._connection is None:
            self._connection = psycopg.Connection.connect(self._database.conninfo(self._seconds), autocommit=True, prepare_threshold=1)
            self._connection.adapters.register_loader("uuid", TextLoader)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

