"""`JobStore` on SQLite: the suite, and what is SQLite's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.validation import validate_event
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.job_store import JobStore, Recovered
from tests.ports.job_store_suite import JobStoreSuite
from tests.support.checker import check
from tests.support.stores import SteppedClock


class SqliteLaboratory:
    """One file, and a clock that stands still until it is moved."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "observatory.db"
        self.clock = SteppedClock()
        self.recovered = Recovered()

    async def open(self) -> JobStore:
        store = SqliteJobStore.at(self.path, check=validate_event, clock=self.clock)
        self.recovered = await store.open()
        return store

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)


class TestSqliteJobStore(JobStoreSuite):
    @pytest.fixture
    def laboratory(self, quick_folder: Path) -> Iterator[SqliteLaboratory]:
        laboratory = SqliteLaboratory(quick_folder)
        yield laboratory
        assert check(laboratory.path) == []
