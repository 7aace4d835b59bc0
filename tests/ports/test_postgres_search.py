"""The search index on PostgreSQL: the searching suite with an index that has come all the way, half the way, and nowhere."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import LiteralString

import psycopg
import pytest

from contracts.query import parse
from contracts.validation import validate_event
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.backends.postgres_search.index import PostgresIndexRows
from functions.stores.backends.postgres_search.link import ThreadLink
from functions.stores.job_store import JobStore
from tests.ports.job_store.searching import everything_shown, found
from tests.ports.job_store.steps import one, request, run, submitted
from tests.ports.job_store.stepwise import FIRST_NUMBER, Stepwise, StepwiseSearching
from tests.ports.test_postgres_job_store import PostgresLaboratory

pytestmark = pytest.mark.servers


class _Store(Stepwise, PostgresJobStore):
    pass


class StepwiseLaboratory(PostgresLaboratory):
    def __init__(self, url: str, progress: str) -> None:
        super().__init__(url)
        self._progress = progress
        with psycopg.connect(url) as connection:
            connection.execute(f"ALTER TABLE observatory.jobs ALTER COLUMN number RESTART WITH {FIRST_NUMBER}".encode())

    async def open(self) -> JobStore:
        store = _Store.at(self.url, check=validate_event, clock=self.clock, migrate=False)
        store.progress = self._progress  # type: ignore[attr-defined]
        await store.open()
        return store


class TestPostgresSearch(StepwiseSearching):
    @pytest.fixture
    def laboratory(self, postgres_url: str, progress: str) -> StepwiseLaboratory:
        return StepwiseLaboratory(postgres_url, progress)


# ---- several processes ------------------------------------------------------------------------------------------


@pytest.fixture
async def pair(postgres_url: str) -> AsyncIterator[list[PostgresJobStore]]:
    stores = [PostgresJobStore.at(postgres_url, check=validate_event) for _ in range(2)]
    for store in stores:
        await store.open()
    yield stores
    for store in stores:
        await store.close()


def _done(connection: psycopg.Connection, statement: LiteralString) -> bool:
    """Whether it was carried out, and not refused because it and the index's writer waited for each other."""
    with contextlib.suppress(psycopg.errors.DeadlockDetected):
        connection.execute(statement)
        return True
    return False


async def until_indexed(store: JobStore) -> None:
    async with asyncio.timeout(30):
        while (page := await store.jobs(_SOME, 1, None)).indexed_to < page.head:
            await asyncio.sleep(0.05)


_SOME = parse("state:queued")


async def test_one_process_keeps_the_index_for_all_and_another_takes_over(pair: list[PostgresJobStore], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.stores.search.follower.FAULT_SECONDS", 0.1)
    for store in pair:
        await store.open_search(everything_shown, "all")
    first = await submitted(pair[0], *[request(payload={"word": "alpha"}) for _ in range(5)])
    for store in pair:
        await until_indexed(store)
        assert await found(store, "alpha") == first[::-1]
    await pair[0].search.close()
    later = await one(pair[1], payload={"word": "alpha"})
    await run(pair[1])
    await until_indexed(pair[1])
    assert await found(pair[1], "alpha") == [later, *first[::-1]]


async def test_an_index_of_what_we_may_not_see_is_not_read(pair: list[PostgresJobStore], postgres_url: str) -> None:
    await pair[0].open_search(everything_shown, "all")
    job_id = await one(pair[0], payload={"key": "s3cr3t", "name": "open"})
    await until_indexed(pair[0])
    await pair[1].search.open(lambda job_type, payload: {"name": payload.get("name")}, f"{pair[1].source} less", follow=False)
    assert await found(pair[0], "s3cr3t") == [job_id]
    assert await found(pair[1], "s3cr3t") == [] and await found(pair[1], "open") == [job_id]
    page = await pair[1].jobs(_SOME, 5, None)
    assert page.indexed_to == 0  # it was looked at job by job


async def test_a_lost_index_is_made_anew(pair: list[PostgresJobStore], postgres_url: str) -> None:
    store = pair[0]
    await store.open_search(everything_shown, "all")
    job_id = await one(store, payload={"word": "alpha"})
    await until_indexed(store)
    lost = "TRUNCATE observatory.search_progress, observatory.search_labels, observatory.search_words, observatory.search_slices"
    with psycopg.connect(postgres_url, autocommit=True) as connection:  # as after a crash of the server
        while not _done(connection, lost):
            await asyncio.sleep(0.05)
    assert await found(store, "alpha") == [job_id]
    link = ThreadLink(store.database, 5.0)
    async with asyncio.timeout(30):
        while PostgresIndexRows(link).blocks() != [0]:  # it is at the head first, and then takes in what was there before
            await asyncio.sleep(0.05)
    link.close()


async def test_a_follower_whose_connection_was_cut_writes_nothing_before_it_has_the_turn_again(
    pair: list[PostgresJobStore], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.stores.search.follower.FAULT_SECONDS", 0.1)
    for store in pair:
        await store.open_search(everything_shown, "all")
    ids = [await one(pair[0], payload={"word": "alpha"})]
    await until_indexed(pair[0])
    begun = time.monotonic()
    while time.monotonic() - begun < 1.0:
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND pid <> pg_backend_pid()")
        ids.append(await one(pair[1], payload={"word": "alpha"}))
        await asyncio.sleep(0.05)
    await until_indexed(pair[0])
    assert await found(pair[0], "alpha") == ids[::-1]
