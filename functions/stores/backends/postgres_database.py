"""Connections to one PostgreSQL database: readers from a pool, and links of one user each that come back by themselves.

Every call has an end: connecting, locks and statements by the server's own timeouts, and an answer that does not come (a
server that hangs, a cable that was cut) by shutting the socket down on this side.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool

from contracts.errors import ConfigurationError, StoreUnavailable
from functions.stores.backends.postgres_connection import GRACE_SECONDS, PostgresConnection, Rows
from functions.stores.backends.postgres_statements import BEGIN_SNAPSHOT, COMMIT, ROLLBACK, Call, call

log = logging.getLogger("observatory.postgres")
QUICK_SECONDS = 1.0
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, errors.ReadOnlySqlTransaction, TimeoutError, OSError)
# Statements of the writer and the readers go by keys. A plan must not rest on statistics that a young table does not have yet.
_BY_KEY = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c plan_cache_mode=force_generic_plan -c jit=off"


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long what may take."""

    connect: float = 3.0
    statement: float = 10.0
    lock: float = 2.0
    read: float = 5.0
    placing: float = 0.2


# ---- faults -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Turns the driver's faults of a database that is away, full or too slow into StoreUnavailable."""
    try:
        yield
    except AWAY as error:
        raise StoreUnavailable(f"the job store does not answer: {words_of(error)}") from error


def words_of(error: BaseException) -> str:
    """One line for people."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


# ---- connections ------------------------------------------------------------------------------------------------


class Link:
    """One long connection for one user at a time, made when it is needed and made anew after it was lost."""

    def __init__(self, database: "PostgresDatabase", options: str, seconds: float) -> None:
        self._database, self._options, self.seconds = database, options, seconds
        self._connection: PostgresConnection | None = None
        self.made = 0
        """How often it was made."""
        self.backend = 0
        """The server's process behind the last connection."""

    @property
    def is_lost(self) -> bool:
        """Whether there was a connection, and it is dead."""
        return self._connection is not None and self._connection.closed

    async def connection(self) -> PostgresConnection:
        """Raises psycopg.OperationalError when the database cannot be reached."""
        if self._connection is None or self._connection.closed:
            await self.drop()
            self._connection = await self._database.connect(self._options)
            self.backend = self._connection.info.backend_pid
            self.made += 1
        return self._connection

    async def ask(self, *calls: Call) -> list[Rows]:
        """Each call by itself, in one round trip. Raises psycopg.Error."""
        return await (await self.connection()).ask(calls, self.seconds)

    async def drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()


class Snapshot:
    """A reader's connection in one transaction: whatever is asked, it sees one moment."""

    def __init__(self, connection: PostgresConnection, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds

    async def ask(self, *calls: Call) -> list[Rows]:
        return await self._connection.ask(calls, self._seconds)

    async def rows(self, name: str, /, **values: Any) -> Rows:
        return (await self.ask(call(name, **values)))[0]



class PostgresDatabase:
    """The database that `url` names (a libpq URL or connection string, TLS by its `sslmode`). `application` is how the server
    calls these connections."""

    def __init__(self, url: str, *, application: str = "observatory", readers: int = 4, seconds: Seconds | None = None) -> None:
        self.seconds = seconds or Seconds()
        try:
            self._parameters: dict[str, Any] = dict(conninfo_to_dict(url))
        except psycopg.ProgrammingError as error:
            raise ConfigurationError(f"OBSERVATORY_POSTGRES_URL cannot be read: {words_of(error)}; use postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from None
        defaults = {"connect_timeout": str(round(self.seconds.connect)), "application_name": application, "tcp_user_timeout": "10000",
                    "client_encoding": "utf8",  # else a database that knows no encoding gives bytes
                    "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3"}  # fmt: skip
        self._parameters = defaults | self._parameters
        self._readers = readers
        self._pool: AsyncConnectionPool[PostgresConnection] | None = None
        self._lost = False  # whether the connection of the last read was dead after it

    @property
    def place(self) -> str:
        """Where it is, for people, without credentials."""
        parts = self._parameters
        host = str(parts.get("host") or parts.get("hostaddr") or "the local socket")
        return f"{host}:{parts.get('port') or 5432}/{parts.get('dbname') or parts.get('user') or ''}"

    def _conninfo(self, options: str) -> str:
        given = self._parameters.get("options") or ""
        return make_conninfo(**{**self._parameters, "options": f"{options} {given}".strip()})

    def conninfo(self, statement: float) -> str:
        """For connections that others make, whose statements take so many seconds at most."""
        return self._conninfo(f"{_timeouts(statement, self.seconds.lock)} {_BY_KEY}")

    async def connect(self, options: str) -> PostgresConnection:
        async with asyncio.timeout(self.seconds.connect + GRACE_SECONDS):
            connection = await PostgresConnection.connect(self._conninfo(options), autocommit=True)
        await _configure(connection)
        return connection

    def link(self, *, statement: float, lock: float) -> Link:
        """A link whose statements and waits for locks take so many seconds at most."""
        return Link(self, f"{_timeouts(statement, lock)} {_BY_KEY}", statement)

    async def open(self) -> None:
        """Again is as once."""
        if self._pool is not None:
            return
        options = f"{_timeouts(self.seconds.read, self.seconds.lock)} {_BY_KEY}"
        self._pool = AsyncConnectionPool(
            self._conninfo(options), connection_class=PostgresConnection, kwargs={"autocommit": True}, configure=_configure, min_size=1, max_size=self._readers,
            timeout=self.seconds.connect, reconnect_timeout=1.0, open=False, name="readers", num_workers=1,
        )  # fmt: skip
        await self._pool.open()

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    # ---- reading ----------------------------------------------------------------------------------------------

    async def read(self, *calls: Call) -> list[Rows]:
        """The rows of each call, of one moment. Raises StoreUnavailable."""
        if len(calls) == 1:
            return await self._read(calls)
        return (await self._read([BEGIN_SNAPSHOT, *calls, COMMIT]))[1:-1]

    async def rows(self, name: str, /, **values: Any) -> Rows:
        return (await self.read(call(name, **values)))[0]

    async def _read(self, calls: Sequence[Call]) -> list[Rows]:
        """Once more on a new connection, if this one turned out to be dead (the server was started anew)."""
        with answering():
            begun = time.monotonic()
            try:
                return await self._read_once(calls)
            except psycopg.OperationalError as error:
                if self._pool is None or not self._lost or time.monotonic() - begun > QUICK_SECONDS:
                    raise
                log.info("a reader's connection was lost, and is made anew: %s", words_of(error), extra={"action": "postgres.reconnecting"})
                await self._pool.drain()
            return await self._read_once(calls)

    async def _read_once(self, calls: Sequence[Call]) -> list[Rows]:
        async with self._reader() as connection:
            return await connection.ask(calls, self.seconds.read)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """For what is asked in steps. Raises StoreUnavailable."""
        with answering():
            async with self._reader() as connection:
                await connection.ask([BEGIN_SNAPSHOT], self.seconds.read)
                try:
                    yield Snapshot(connection, self.seconds.read)
                finally:
                    if not connection.closed:
                        await connection.ask([ROLLBACK], self.seconds.read)

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[PostgresConnection]:
        if self._pool is None:
            raise StoreUnavailable("the job store is closed")
        pool = self._pool
        connection = await pool.getconn()
        try:
            yield connection
        finally:
            self._lost = connection.closed
            await pool.putconn(connection)


def _timeouts(statement: float, lock: float) -> str:
    milliseconds = round(statement * 1_000)
    return (
        f"-c statement_timeout={milliseconds} -c lock_timeout={round(lock * 1_000)}"
        f" -c idle_in_transaction_session_timeout={milliseconds} -c client_connection_check_interval=2000"
    )


async def _configure(connection: PostgresConnection) -> None:
    """Ids are texts here."""
    connection.adapters.register_loader("uuid", TextLoader)
