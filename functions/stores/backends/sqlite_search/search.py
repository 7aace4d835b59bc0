"""The search of one data folder: its index, who keeps it up, and the threads that answer."""

import asyncio
import sqlite3
import time
from collections.abc import Callable

from contracts.errors import StoreUnavailable
from contracts.query import Query
from functions.stores.backends.sqlite_database import SqliteDatabase
from functions.stores.backends.sqlite_search import index as file
from functions.stores.backends.sqlite_search.index import SqliteIndexRows
from functions.stores.backends.sqlite_search.jobs import SqliteJobRows, newest
from functions.stores.search.asking import QUERY_SECONDS, Answer, Asking, nothing_hidden
from functions.stores.search.bits import BLOCK
from functions.stores.search.entries import Shown
from functions.stores.search.follower import Follower
from functions.stores.search.pages import Deadline, Found, Page
from functions.stores.search.rows import Progress

FILE = "search.db"
STEPS_A_LOOK = 20_000  # of SQLite's machine, between two looks at the clock


class SqliteSearch(Asking):
    """Answers queries over the jobs of `database`, on connections of its own."""

    def __init__(self, database: SqliteDatabase, *, seconds: float = QUERY_SECONDS) -> None:
        super().__init__(seconds)
        self._database = database
        self.path = database.path.parent / FILE
        self._connections: list[sqlite3.Connection] = []

    async def open(self, shown: Shown, made_of: str, *, follow: bool = True) -> None:
        """Opens the index, and starts to keep it up unless `follow` is False.

        `shown` gives of a type's payload what may be seen; `made_of` tells deployment and version of `shown`.
        """
        if (made_of := f"{file.FORMAT} {made_of}") == self._made_of:
            return
        await asyncio.to_thread(self._open, shown, made_of)
        self._made_of = made_of
        if follow and self.follower is not None:
            self.follower.start()

    def _open(self, shown: Shown, made_of: str) -> None:
        if self.follower is not None:
            self.follower.stop()
        connection = self._database.connect_reader()
        jobs = SqliteJobRows(connection)
        connection.execute("BEGIN")
        head, after_newest = jobs.head(), jobs.next_number()
        connection.execute("COMMIT")
        start = Progress(head, -(-after_newest // BLOCK) if after_newest > 1 else 0)
        self._shown = shown
        index = file.open_index(self.path, made_of, start, head)

        def close() -> None:
            index.close()
            connection.close()

        self.follower = Follower(jobs, SqliteIndexRows(index), shown, close)

    async def close(self) -> None:
        await self._stop()
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    async def find(self, query: Query, now: int, before: int, most: int) -> Found:
        """Jobs with numbers below `before`, newest first. Raises QueryTooSlow, IndexBehind, StoreUnavailable."""
        if query.is_everything:
            return await self._database.read(lambda jobs: Found(newest(jobs, before, most), *[SqliteJobRows(jobs).head()] * 2))
        return await super().find(query, now, before, most)

    def _answer(self, query: Query, seconds: float, now: int, before: int, what: Callable[[Page], Answer]) -> Answer:
        deadline = Deadline(time.monotonic() + seconds, seconds)
        try:
            jobs, index = self._own_connections()
            with _Reading([connection for connection in (index, jobs) if connection is not None], deadline.passed):
                rows = SqliteIndexRows(index) if index is not None else None
                return what(Page(SqliteJobRows(jobs), rows, query, now, before, self._shown or nothing_hidden, deadline))
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                raise deadline.fault() from error
            raise StoreUnavailable(f"the job store cannot be searched: {error}") from error

    def _own_connections(self) -> tuple[sqlite3.Connection, sqlite3.Connection | None]:
        """This thread's connections to the jobs and, once there is one, to the index."""
        local = self._local
        if not hasattr(local, "jobs"):
            local.jobs, local.index, local.made_for = self._kept(self._database.connect_reader()), None, None
        if local.made_for is not self.follower:
            local.index, local.made_for = self._kept(file.connect(self.path)), self.follower
        return local.jobs, local.index

    def _kept(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        self._connections.append(connection)
        return connection


class _Reading:
    """A read transaction on each connection, in this order, that is interrupted when the time is up."""

    def __init__(self, connections: list[sqlite3.Connection], passed: Callable[[], bool]) -> None:
        self._connections, self._passed = connections, passed

    def __enter__(self) -> None:
        for connection in self._connections:
            connection.set_progress_handler(self._passed, STEPS_A_LOOK)
            connection.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.set_progress_handler(None, 0)
            if connection.in_transaction:
                connection.execute("COMMIT")
