"""`JobStore` on PostgreSQL: the suite that every store passes."""

from collections.abc import Iterator

import pytest

from contracts.validation import validate_event
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.job_store import JobStore, Recovered
from tests.ports.job_store_suite import JobStoreSuite
from tests.support.stores import SteppedClock

pytestmark = pytest.mark.servers


class PostgresLaboratory:
    """One database, and a clock that stands still until it is moved."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = SteppedClock()
        self.recovered = Recovered()

    async def open(self) -> JobStore:
        store = PostgresJobStore.at(self.url, check=validate_event, clock=self.clock, migrate=False)
        self.recovered = await store.open()
        return store

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)


class TestPostgresJobStore(JobStoreSuite):
    @pytest.fixture
    def laboratory(self, postgres_url: str) -> Iterator[PostgresLaboratory]:
        yield PostgresLaboratory(postgres_url)
