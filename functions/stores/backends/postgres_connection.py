"""One connection to PostgreSQL, and how statements go over it: any number in one message, each prepared once, one answer.

psycopg's own cursors send statement by statement, also in pipeline mode, and cost some 40 us each. This speaks to its libpq
wrapper (psycopg.pq) instead: for what many processes write and read thousands of times a second, and for nothing else.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import psycopg
from psycopg import AsyncConnection, errors
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult

from functions.stores.backends.postgres_statements import Call, Statement

Rows = list[Any]
GRACE_SECONDS = 1.0  # after the server's own timeout, before this side gives up


def encoded(value: Any) -> bytes | None:
    """A value as the text that PostgreSQL reads; lists become arrays."""
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, int | float):
        return str(value).encode()
    if isinstance(value, bytes):
        return b"\\x" + value.hex().encode()
    return b"{" + b",".join(map(_element, value)) + b"}"


def _element(value: Any) -> bytes:
    if isinstance(value, int):
        return b"%d" % value
    return b'"' + value.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


class PostgresConnection(AsyncConnection[Any]):
    """A connection in autocommit mode."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._known_statements: dict[Statement, bytes] = {}
        self._statement_numbers = count()
        self._row_reader = Transformer(self)

    async def ask(self, calls: Sequence[Call], seconds: float) -> list[Rows]:
        """The rows of each call. Without a BEGIN among them they are one transaction.

        Raises psycopg.Error: that of the first call that failed (those behind it were not carried out), or OperationalError
        when there is no answer within `seconds` and a little, after which the connection is lost.
        """
        with _deadline(self, seconds + GRACE_SECONDS):
            sent: list[Statement | None] = []
            try:
                self._send(calls, sent)
                return self._rows(sent, await self._answers())
            except asyncio.CancelledError:  # who asked is gone; the connection stays good for others
                if not self.closed:
                    self._rows(sent, await self._answers())
                raise
            finally:
                if not self.closed:
                    self.pgconn.exit_pipeline_mode()

    def _send(self, calls: Sequence[Call], sent: list[Statement | None]) -> None:
        """Notes in `sent` what each result will be of: a statement that is prepared, or (None) a call."""
        self.pgconn.enter_pipeline_mode()
        for statement, values in calls:
            name = self._known_statements.get(statement)
            if name is None:
                name = self._known_statements[statement] = b"o%d" % next(self._statement_numbers)
                self.pgconn.send_prepare(name, statement.numbered)
                sent.append(statement)
            self.pgconn.send_query_prepared(name, [encoded(values[key]) for key in statement.names] if values is not None else None)
            sent.append(None)
        self.pgconn.pipeline_sync()

    async def _answers(self) -> list[PGresult]:
        """All results, up to the end of the message."""
        pgconn = self.pgconn
        results: list[PGresult] = []
        sending = pgconn.flush()
        while True:
            while sending or pgconn.is_busy():
                await _ready(pgconn.socket, writing=bool(sending))
                pgconn.consume_input()
                sending = sending and pgconn.flush()
            result = pgconn.get_result()
            if result is None:  # between two results; or nobody is there any more
                if self.closed:
                    raise psycopg.OperationalError("the connection was lost")
            elif result.status == ExecStatus.PIPELINE_SYNC:
                return results
            else:
                results.append(result)

    def _rows(self, sent: Sequence[Statement | None], results: Sequence[PGresult]) -> list[Rows]:
        found: list[Rows] = []
        failed: PGresult | None = None
        for statement, result in zip(sent, results, strict=True):
            good = result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
            if not good and statement is not None:
                self._known_statements.pop(statement, None)
            if result.status == ExecStatus.FATAL_ERROR and failed is None:
                failed = result
            if good and statement is None:
                found.append(self._loaded(result))
        if failed is not None:
            raise errors.error_from_result(failed, self.info.encoding)
        return found

    def _loaded(self, result: PGresult) -> Rows:
        if not result.ntuples:
            return []
        self._row_reader.set_pgresult(result, format=Format.TEXT)
        return self._row_reader.load_rows(0, result.ntuples, tuple)


@contextlib.contextmanager
def _deadline(connection: PostgresConnection, seconds: float) -> Iterator[None]:
    timer = asyncio.get_running_loop().call_later(seconds, _cut, connection)
    try:
        yield
    finally:
        timer.cancel()


def _cut(connection: PostgresConnection) -> None:
    """Ends the wait for a server that says nothing: whoever waits finds the connection closed."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


async def _ready(descriptor: int, *, writing: bool) -> None:
    """Returns when there is something to read, or with `writing` room to write as well."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def set_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, set_ready)
    if writing:
        loop.add_writer(descriptor, set_ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
        if writing:
            loop.remove_writer(descriptor)
