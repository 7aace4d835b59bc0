"""Where the state machines run: each store, with a clock that is moved by hand and a wall clock that lies."""

import asyncio
import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from contracts.validation import validate_event
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.backends.postgres_stats_store import PostgresStatsStore
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_stats_store import SqliteStatsStore
from functions.stores.job_store import JobStore
from functions.stores.stats_store import StatsStore
from tests.ports.job_store.model import DICE
from tests.support.checker import check
from tests.support.postgres import Databases

START = 1_795_000_000_000_000


class _Clocks:
    def __init__(self) -> None:
        self._clock, self._off = START, 0

    def now(self) -> int:
        return self._clock

    def wall(self) -> int:
        return self._clock + self._off

    def pass_seconds(self, seconds: float) -> None:
        self._clock += round(seconds * 1_000_000)

    def skew(self, seconds: float) -> None:
        self._off = round(seconds * 1_000_000)


class SqliteBench(_Clocks):
    """Files in a folder of their own; a crash goes on with a copy of what is on the disk at that moment."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self._folder = Path(tempfile.mkdtemp(prefix="machine-", dir=memory if memory.is_dir() else None))
        self._lives = itertools.count()
        self._stores: list[SqliteJobStore] = []
        self._path = self._folder / "0" / "observatory.db"

    async def open(self) -> tuple[JobStore, StatsStore]:
        store = SqliteJobStore.at(self._path, check=validate_event, clock=self.now, wall=self.wall, uniform=lambda: DICE)
        await store.open()
        self._stores.append(store)
        return store, SqliteStatsStore(store.database)

    async def crash(self) -> tuple[JobStore, StatsStore]:
        copy = self._folder / str(next(self._lives) + 1)
        shutil.copytree(self._path.parent, copy)
        await self._stores.pop().close()
        self._path = copy / "observatory.db"
        return await self.open()

    async def violations(self) -> list[str]:
        return check(self._path)

    async def close(self) -> None:
        for store in self._stores:
            await store.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class _BareStore(PostgresJobStore):
    """Remembers the wall clock, for the bug that goes by it."""

    wall: Any = None


class PostgresBench(_Clocks):
    """One database, emptied for each life; a crash cuts every connection of the store, and another one goes on."""

    def __init__(self, databases: Databases) -> None:
        super().__init__()
        self.url = databases.empty()
        self._store: _BareStore | None = None

    async def open(self) -> tuple[JobStore, StatsStore]:
        self._store = _BareStore.at(self.url, check=validate_event, clock=self.now, uniform=lambda: DICE, migrate=False)  # type: ignore[assignment]
        assert self._store is not None
        self._store.wall = self.wall
        await self._store.open()
        return self._store, PostgresStatsStore(self._store)

    async def crash(self) -> tuple[JobStore, StatsStore]:
        await self._abandon()
        return await self.open()

    async def _abandon(self) -> None:
        """As when the process dies: nothing is finished, nothing is said."""
        store, self._store = self._store, None
        assert store is not None
        tasks = [task for task in (store.writer._task, store.placing._task, store.ear._task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for link in (store.link, store.placing._link, store.ear._link):
            await link.drop()
        await store.database.close()

    async def violations(self) -> list[str]:
        return check(self.url)

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()
