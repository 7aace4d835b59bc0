"""The search index of SQLite: the searching suite with an index that has come all the way, half the way, and nowhere."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.query import Query
from contracts.validation import validate_event
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_search.jobs import SqliteJobRows
from functions.stores.job_store import JobPage, JobStore
from functions.stores.search.bits import BLOCK
from tests.ports.job_store.searching import Searching
from tests.ports.test_sqlite_job_store import SqliteLaboratory
from tests.support.stores import run_all, sqlite_store, submit


class _StepwiseStore(SqliteJobStore):
    """Its index goes on only before queries, and then as far as `progress` says: to the head, somewhere, or not at all."""

    progress = "head"
    dice = random.Random(7)

    async def open_search(self, shown: Callable[[str, Any], Any], version: str) -> None:
        await self.search.open(shown, f"{self.source} {version}", follow=False)

    async def jobs(self, where: Query, limit: int, cursor: str | None) -> JobPage:
        follower = self.search.follower
        if follower is not None and (self.progress == "head" or (self.progress == "somewhere" and self.dice.random() < 0.3)):
            await asyncio.to_thread(_go_on, follower)
        return await super().jobs(where, limit, cursor)


def _go_on(follower: Any) -> None:
    follower.hurry()
    while follower.follow() or follower.fill():
        pass


class StepwiseLaboratory(SqliteLaboratory):
    """Its jobs lie on both sides of a border between two blocks of the index."""

    def __init__(self, folder: Path, progress: str) -> None:
        super().__init__(folder)
        self._progress = progress

    async def open(self) -> JobStore:
        store = _StepwiseStore.at(self.path, check=validate_event, clock=self.clock)
        store.progress = self._progress
        self.recovered = await store.open()
        store._state.next_number = max(store._state.next_number, 2 * BLOCK - 20)
        return store


class _Searching(Searching):
    progress = "head"

    @pytest.fixture
    def laboratory(self, quick_folder: Path) -> Iterator[StepwiseLaboratory]:
        yield StepwiseLaboratory(quick_folder, self.progress)

    @pytest.fixture
    async def store(self, laboratory: StepwiseLaboratory) -> AsyncIterator[JobStore]:
        store = await laboratory.open()
        await store.declare_queues([("default", None, None, False), ("bulk", None, None, False)])
        yield store
        await store.close()


class TestWithTheIndexAtTheHead(_Searching):
    progress = "head"


class TestWithTheIndexSomewhere(_Searching):
    progress = "somewhere"


class TestWithTheIndexNowhere(_Searching):
    progress = "nowhere"


async def test_what_changed_is_found_without_walking_every_event(quick_folder: Path) -> None:
    """SQLite may walk the index of streams instead, which holds every event that there ever was: seconds, with a million jobs."""
    steps: list[int] = []
    async with sqlite_store(quick_folder) as store:
        connection = store.database.connect_reader()
        connection.set_progress_handler(lambda: steps.append(1) and None, 100)
        rows = SqliteJobRows(connection)
        for _ in range(2):
            await submit(store, 500)
            await run_all(store)
            before, head = len(steps), rows.head()
            assert rows.changed_since(head, 0, 10**9) == []
            assert len(rows.changed_since(head - 1, 0, 10**9)) == 1
            assert len(steps) - before < 10
        connection.close()
