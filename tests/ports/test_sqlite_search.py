"""The search index of SQLite: the searching suite with an index that has come all the way, half the way, and nowhere."""

from pathlib import Path

import pytest

from contracts.validation import validate_event
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_search.jobs import SqliteJobRows
from functions.stores.job_store import JobStore
from tests.ports.job_store.stepwise import FIRST_NUMBER, Stepwise, StepwiseSearching
from tests.ports.test_sqlite_job_store import SqliteLaboratory
from tests.support.stores import run_all, sqlite_store, submit


class _Store(Stepwise, SqliteJobStore):
    pass


class StepwiseLaboratory(SqliteLaboratory):
    def __init__(self, folder: Path, progress: str) -> None:
        super().__init__(folder)
        self._progress = progress

    async def open(self) -> JobStore:
        store = _Store.at(self.path, check=validate_event, clock=self.clock)
        store.progress = self._progress
        self.recovered = await store.open()
        store._state.next_number = max(store._state.next_number, FIRST_NUMBER)
        return store


class TestSqliteSearch(StepwiseSearching):
    @pytest.fixture
    def laboratory(self, quick_folder: Path, progress: str) -> StepwiseLaboratory:
        return StepwiseLaboratory(quick_folder, progress)


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
