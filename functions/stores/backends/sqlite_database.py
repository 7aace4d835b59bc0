"""One SQLite file: its one writer thread with group commit, its readers, its migrations.

The writer drains a queue of commands into one transaction (at most 500) and answers them after the commit, which is
fsynced (WAL, `synchronous=FULL`). Statements are written with many rows each, because every step of a statement gives
the interpreter's lock away and has to win it back. Readers have connections of their own. Checkpoints run beside the
writer; only a log that never empties makes it stop for one.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from contracts.errors import ConfigurationError, DataFolderTooNew, ObservatoryError, StoreUnavailable
from functions.stores import faults

Result = TypeVar("Result")
MIGRATIONS = Path(__file__).parent / "sql" / "sqlite"
BATCH = 500
LAZY_SECONDS = 0.02
CHECKPOINT_PAGES = 2_000
LOG_LIMIT_BYTES = 256 * 1024 * 1024
MINIMUM_VERSION = (3, 35, 0)  # RETURNING, UPDATE ... FROM, generated columns

# commands -> their results, what `afterwards` is told, and what to do on the writer's thread once that is committed
BatchRunner = Callable[[sqlite3.Connection, Sequence[Any]], tuple[list[Any], Any, Callable[[], None]]]
Afterwards = Callable[[Any], None]


@lru_cache(maxsize=512)
def rows_statement(head: str, width: int, rows: int, tail: str = "") -> str:
    """`head VALUES (?,..),(?,..) tail` for so many rows."""
    row = "(" + ",".join("?" * width) + ")"
    return f"{head} VALUES {','.join([row] * rows)} {tail}"


def write_rows(connection: sqlite3.Connection, head: str, rows: Sequence[Sequence[Any]], tail: str = "") -> None:
    """Inserts rows in as few steps as possible; sizes are powers of two, so few statements are ever compiled."""
    start = 0
    while start < len(rows):
        size = min(128, 1 << (len(rows) - start).bit_length() - 1)
        chunk = rows[start : start + size]
        connection.execute(rows_statement(head, len(chunk[0]), size, tail), list(chain.from_iterable(chunk)))
        start += size


class SqliteDatabase:
    """The file `path` with its threads. `run_batch` turns commands into one transaction's work,
    on the writer's thread; `afterwards` hears of each commit in the event loop, before those who asked for it."""

    def __init__(self, path: Path, *, readers: int = 2) -> None:
        self.path = path
        self._log = Path(f"{path}-wal")
        self._queue: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._lazy: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._run_batch: BatchRunner | None = None
        self._afterwards: Afterwards | None = None
        self._writer: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="sqlite-reader")
        self._reader_local = threading.local()
        self._reader_connections: list[sqlite3.Connection] = []
        self._checkpointer: threading.Thread | None = None
        self._checkpoint_due = threading.Event()
        self._checkpointing = threading.Lock()  # SQLite refuses a second checkpoint at once, and waits for none
        self.commits = 0

    # ---- life -------------------------------------------------------------------------------------------------

    def open(self) -> sqlite3.Connection:
        """Opens (or makes) the file and brings its layout up to date; returns the writer's connection."""
        if sqlite3.sqlite_version_info < MINIMUM_VERSION:
            raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old; 3.35 or later is needed (it comes with Python)")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connect()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        migrate(connection, MIGRATIONS, self.path)
        return connection

    def start(self, connection: sqlite3.Connection, run_batch: BatchRunner, afterwards: Afterwards) -> None:
        self._loop = asyncio.get_running_loop()
        self._run_batch, self._afterwards = run_batch, afterwards
        self._writer = threading.Thread(target=self._write_forever, args=(connection,), name="sqlite-writer", daemon=True)
        self._checkpointer = threading.Thread(target=self._checkpoint_forever, name="sqlite-checkpointer", daemon=True)
        self._writer.start()
        self._checkpointer.start()

    async def close(self) -> None:
        """Writes what is still queued, then closes; idempotent."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._checkpoint_due.set()
        for thread in (self._writer, self._checkpointer):
            if thread is not None:
                await asyncio.to_thread(thread.join)
        self._readers.shutdown(wait=True)
        for connection in self._reader_connections:
            connection.close()
        self._reader_connections.clear()

    # ---- asking -----------------------------------------------------------------------------------------------

    def ask(self, command: Any) -> asyncio.Future[Any]:
        """Queues a command; the future has its result after the commit. Lazy ones wait for company, 20 ms at most."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._closing or self._writer is None or not self._writer.is_alive():
            future.set_exception(StoreUnavailable("the job store is closed"))
            return future
        with self._wake:
            (self._lazy if command.lazy else self._queue).append((command, future))
            self._wake.notify()
        return future

    async def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Runs `work` on a reader's connection, in one snapshot."""
        if self._closing:
            raise StoreUnavailable("the job store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            connection = getattr(self._reader_local, "connection", None)
            if connection is None:
                connection = self._reader_local.connection = self.connect_reader()
                self._reader_connections.append(connection)
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the job store cannot be read: {error}") from error

    def connect_reader(self) -> sqlite3.Connection:
        """A further connection that only reads; who takes it closes it."""
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=5.0)
        except sqlite3.Error as error:
            raise ConfigurationError(f"cannot open {self.path}: {error}; choose another folder with OBSERVATORY_DATA") from error
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA cache_size = -4096")  # KiB a connection; four times as much made nothing faster
        connection.execute("PRAGMA mmap_size = 0")
        return connection

    # ---- the writer's thread ----------------------------------------------------------------------------------

    def _write_forever(self, connection: sqlite3.Connection) -> None:
        while (batch := self._next_batch()) is not None:
            if batch:
                self._commit(connection, batch)
                self._watch_log(connection)
        connection.close()

    def _next_batch(self) -> list[tuple[Any, asyncio.Future[Any]]] | None:
        with self._wake:
            lazy_until = 0.0
            while not self._queue:
                if self._closing:
                    break
                if self._lazy:
                    lazy_until = lazy_until or time.monotonic() + LAZY_SECONDS
                    if time.monotonic() >= lazy_until:
                        break
                    self._wake.wait(lazy_until - time.monotonic())
                else:
                    self._wake.wait()
            batch: list[tuple[Any, asyncio.Future[Any]]] = []
            for source in (self._queue, self._lazy):
                while source and len(batch) < BATCH:
                    batch.append(source.popleft())
            return None if self._closing and not batch else batch

    def _commit(self, connection: sqlite3.Connection, batch: list[tuple[Any, asyncio.Future[Any]]]) -> None:
        try:
            results, told = self._transact(connection, [command for command, _ in batch])
        except Exception as error:
            if is_away(error):
                self._answer(batch, [StoreUnavailable(f"the job store cannot write: {error}")] * len(batch), None)
            elif len(batch) == 1:
                fault = error if isinstance(error, ObservatoryError) else ObservatoryError(f"{type(error).__name__}: {error}")
                fault.__cause__ = error
                self._answer(batch, [fault], None)
            else:  # one of them is bad: each alone, so that it fails alone
                for item in batch:
                    self._commit(connection, [item])
        else:
            self.commits += 1
            faults.reach("committed")
            self._answer(batch, results, told)

    def _transact(self, connection: sqlite3.Connection, commands: Sequence[Any]) -> tuple[list[Any], Any]:
        assert self._run_batch is not None
        connection.execute("BEGIN IMMEDIATE")
        try:
            results, told, committed = self._run_batch(connection, commands)
            faults.reach("inserted")
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            raise
        committed()
        return results, told

    def _answer(self, batch: list[tuple[Any, asyncio.Future[Any]]], results: Sequence[Any], told: Any) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
            self._loop.call_soon_threadsafe(self._deliver, batch, results, told)

    def _deliver(self, batch: list[tuple[Any, asyncio.Future[Any]]], results: Sequence[Any], told: Any) -> None:
        if told is not None and self._afterwards is not None:
            self._afterwards(told)
        faults.reach("published")
        for (_, future), result in zip(batch, results, strict=True):
            if future.cancelled():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

    # ---- checkpoints ------------------------------------------------------------------------------------------

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def _watch_log(self, connection: sqlite3.Connection) -> None:
        size = self._log_bytes()
        if size > CHECKPOINT_PAGES * 4096:
            self._checkpoint_due.set()
        if size > LOG_LIMIT_BYTES:
            with self._checkpointing, contextlib.suppress(sqlite3.Error):  # a full disk is told to those who write
                connection.execute("PRAGMA wal_checkpoint(RESTART)")

    def _checkpoint_forever(self) -> None:
        connection = self._connect()
        connection.execute("PRAGMA synchronous = FULL")
        while True:
            self._checkpoint_due.wait()
            self._checkpoint_due.clear()
            if self._closing:
                break
            with self._checkpointing, contextlib.suppress(sqlite3.Error):
                faults.reach("checkpoint")
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        connection.close()


def is_away(error: Exception) -> bool:
    """Whether the file cannot be written just now (full, locked, unwritable), whatever was asked."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_ERROR


def migrate(connection: sqlite3.Connection, folder: Path, path: Path) -> None:
    """Applies the numbered migrations that the file lacks, each in a transaction of its own.

    Raises DataFolderTooNew when the file knows a migration that this version does not.
    """
    steps = sorted(folder.glob("[0-9]*.sql"))
    known = connection.execute("PRAGMA user_version").fetchone()[0]
    newest = int(steps[-1].name.split("-")[0])
    if known > newest:
        raise DataFolderTooNew(
            f"{path} has layout {known}, and this version knows layouts up to {newest}: "
            "start a version at least as new as the one that wrote it, or choose another folder with OBSERVATORY_DATA"
        )
    for step in steps:
        number = int(step.name.split("-")[0])
        if number > known:
            with_version = f"BEGIN IMMEDIATE; {step.read_text()}; PRAGMA user_version = {number}; COMMIT;"
            try:
                connection.executescript(with_version)
            except sqlite3.Error as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise ConfigurationError(f"migration {step.name} of {path} failed: {error}") from error


def one(connection: sqlite3.Connection, sql: str, parameters: Iterable[Any] = ()) -> Any:
    """The first column of the first row, or None."""
    row = connection.execute(sql, tuple(parameters)).fetchone()
    return None if row is None else row[0]
