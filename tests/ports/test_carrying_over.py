"""A data folder carried over into PostgreSQL, store to store: everything is there, a run goes on where it was broken off, and what may not
be is refused with what to do."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from contracts.errors import ConfigurationError, DataFolderInUse, ObservatoryError, StoreUnavailable
from contracts.schedule import ScheduleSpec
from contracts.validation import validate_event
from functions.metrics_engine.service import MetricsEngine
from functions.stores.audit import Audit
from functions.stores.backends.postgres_database import PostgresDatabase
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.backends.postgres_stats_store import PostgresStatsStore
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_to_postgres import Carrier, Report, folder
from functions.stores.backends.sqlite_to_postgres.parts import PARTS
from functions.stores.bulk import BulkOperation, BulkState
from functions.stores.job_store import PUBLISH_CURSOR, STATISTICS_CURSOR, DeadLetter, Refusal
from functions.stores.moves import Ending
from functions.stores.retention import Retention
from tests.support.checker import Evidence, read_evidence
from tests.support.postgres import Databases
from tests.support.stores import claim, end, mixed_life, run_all, sqlite_store, submit

pytestmark = pytest.mark.servers
NUL = "a\x00b"


async def lived(path: Path) -> Path:
    """A data folder in which there is some of everything, also what PostgreSQL's text has no room for, and a feed that is not whole."""
    async with sqlite_store(path) as store:
        await submit(store, 30)
        await run_all(store)
        for cursor in (PUBLISH_CURSOR, STATISTICS_CURSOR):
            await store.advance(cursor, await store.head())
        dropped = await store.prune(Retention({}, most_ended=12))
        assert dropped.jobs == 18
        await mixed_life(store)
        await submit(store, 3, payload={"text": NUL}, unique_key="only", keys=("key:k",), fingerprint=b"\x00\xff")
        jobs = await claim(store, 2)
        await store.effect(jobs[0].id, jobs[0].lease_token, "step", {"value": NUL})
        await store.end_attempts([Ending(jobs[0].id, jobs[0].lease_token, "failed", error={"type": "E", "message": NUL, "traceback": None}, output=NUL)])
        await store.put_schedule("often", ScheduleSpec(template={"type": "demo.noop", "payload": {}}, every_seconds=60), "anna")
        await store.set_paused("default", True, "anna", "a test")
        await store.keep_dead_letter(DeadLetter("d1", "t", "s", "e", None, NUL, 1, "text/plain", b"\x00\xfe", {"a": "b"}, 7))
        await store.begin_bulk(BulkOperation(str(uuid4()), "retry", "state:failed", "anna", None, store.now(), 2, BulkState()), [job.id for job in jobs])
        await store.record_refusals([Refusal("demo.noop", "payload", "no", "{}")])
        await store.remember_secrets({"demo.noop": {"type": "object"}})
    return path / "observatory.db"


def carrier(file: Path, url: str, stop_after: int = 0) -> Carrier:
    """With `stop_after` it is broken off after so many batches."""
    batches = 0

    def progress(what: str, done: int, total: int) -> None:
        nonlocal batches
        batches += 1
        if batches == stop_after:
            raise KeyboardInterrupt

    return Carrier(file, PostgresDatabase(url), progress)


def same(file: Path, url: str) -> None:
    """Both hold the same, by SQL from outside; but for statistics, whose turn comes, and leases, which have run out."""
    ours, theirs = read_evidence(file), read_evidence(url)
    for job in (*ours.jobs.values(), *theirs.jobs.values()):
        job["lease_until"] = None if job["status"] != "running" else 0
    assert list(theirs.jobs.values()) == list(ours.jobs.values())
    told = ("position", "stream", "sequence", "type", "time", "body")
    assert [[row[name] for name in told] for row in theirs.rows] == [[row[name] for name in told] for row in ours.rows]
    assert (theirs.head, theirs.pruned) == (ours.head, ours.pruned)
    for name in ("attempts", "idempotency", "effects", "queues", "streams", "counts", "dead_letters", "checkpoint_states", "checkpoint_sums",
                 "schedules", "alerts"):  # fmt: skip
        assert _rows(theirs, name) == _rows(ours, name), name
    assert {row["name"]: row["position"] for row in theirs.tables["cursors"]} == {PUBLISH_CURSOR: ours.cursor(PUBLISH_CURSOR)}


def _rows(evidence: Evidence, table: str) -> list[Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode("latin-1") if table != "attempts" else value.decode()
        if isinstance(value, bool):
            return int(value)
        return value.replace("\x00", "\ufffd") if isinstance(value, str) and table == "dead_letters" else value

    return sorted(json.dumps({key: plain(value) for key, value in row.items()}, sort_keys=True, default=int) for row in evidence.tables[table])


def rows_of(report: Report) -> int:
    return sum(database for _, _, database in report.tables)


async def test_everything_comes_along(quick_folder: Path, postgres_url: str) -> None:
    file = await lived(quick_folder)
    report = await carrier(file, postgres_url).carry()
    assert all(ours == theirs for _, ours, theirs in report.tables)
    assert {name for name, rows, _ in report.tables if not rows} == {"alerts"}
    same(file, postgres_url)


async def test_the_new_store_goes_on_where_the_old_one_was(quick_folder: Path, postgres_url: str) -> None:
    file = await lived(quick_folder)
    await carrier(file, postgres_url).carry()
    before = SqliteJobStore.at(file, check=validate_event)
    await before.identify()
    store = PostgresJobStore.at(postgres_url, check=validate_event)
    await store.open()
    stats = PostgresStatsStore(store)
    try:
        assert store.source == before.source
        head, (last,) = await store.head(), await store.recent_events(1, None, None)
        assert last.position == head
        assert await stats.cursor() == 0 and [str(found) async for found in Audit(store, stats).differences()] == []  # they are only behind
        assert (await store.tick()).rescued == 2  # whoever had leases is gone
        await store.set_paused("default", False, "anna", None)
        (again,) = await submit(store, 1, payload={"text": NUL}, unique_key="only", keys=("key:k",), fingerprint=b"\x00\xff")  # type: ignore[arg-type]
        assert again in {job_id for job_id, in _ask(postgres_url, "SELECT job_id::text FROM observatory.idempotency")}
        await submit(store, 5)  # type: ignore[arg-type]
        jobs = await claim(store, 100)  # type: ignore[arg-type]
        await end(store, jobs)  # type: ignore[arg-type]
        events = await store.feed(head, 1_000)
        assert [event.position for event in events] == list(range(head + 1, head + len(events) + 1)) and len(events) > 10
        await MetricsEngine(store, stats).catch_up()
        assert [str(found) async for found in Audit(store, stats).differences()] == []
        assert (await stats.read([])).states[("default", "demo.noop", "succeeded")] >= 12 + 18
    finally:
        await store.close()
        await before.close()


def _ask(url: str, sql: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(sql.encode()).fetchall()


@pytest.mark.parametrize("batches", [1, 9, 40])
async def test_a_run_that_is_broken_off_goes_on_where_it_was(quick_folder: Path, postgres_url: str, batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small batches, so that it stops within tables, too; meanwhile nothing opens on what is there."""
    file = await lived(quick_folder)
    monkeypatch.setattr(folder, "ROWS", 7)
    with pytest.raises(KeyboardInterrupt):
        await carrier(file, postgres_url, batches).carry()
    store = PostgresJobStore.at(postgres_url, check=validate_event)
    with pytest.raises(StoreUnavailable, match="migrate-data"):
        await store.open()
    rehearsed = await carrier(file, postgres_url).rehearse()
    assert rehearsed.resumed and rows_of(rehearsed) > 0
    report = await carrier(file, postgres_url).carry()
    assert report.resumed and not report.was_there
    same(file, postgres_url)
    again = await carrier(file, postgres_url, 1).carry()
    assert again.was_there and again.tables == report.tables


async def test_a_folder_that_changed_since_a_broken_run_begins_anew(quick_folder: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = await lived(quick_folder)
    monkeypatch.setattr(folder, "ROWS", 7)
    with pytest.raises(KeyboardInterrupt):
        await carrier(file, postgres_url, 30).carry()
    async with sqlite_store(quick_folder) as store:
        await submit(store, 3)
    report = await carrier(file, postgres_url).carry()
    assert not report.resumed
    same(file, postgres_url)


async def test_a_rehearsal_writes_nothing(quick_folder: Path, postgres_databases: Databases) -> None:
    file = await lived(quick_folder)
    url = postgres_databases.bare()
    try:
        report = await carrier(file, url).rehearse()
        assert report.rehearsed and rows_of(report) == 0 and {name: rows for name, rows, _ in report.tables}["jobs"] > 20
        assert _ask(url, "SELECT to_regnamespace('observatory')") == [(None,)]
        await carrier(file, url).carry()
        same(file, url)
    finally:
        postgres_databases.drop(url)


async def test_a_database_on_which_a_system_was_started_is_refused(quick_folder: Path, postgres_url: str) -> None:
    file = await lived(quick_folder)
    store = PostgresJobStore.at(postgres_url, check=validate_event)
    await store.open()
    try:
        with pytest.raises(DataFolderInUse, match="a system runs on"):
            await carrier(file, postgres_url).carry()
        await store.declare_queues([("default", None, None, False)])
    finally:
        await store.close()
    for run in (carrier(file, postgres_url).carry, carrier(file, postgres_url).rehearse):
        with pytest.raises(ConfigurationError, match=r"is not empty.*0 jobs.*rows in .*queues.*DROP SCHEMA observatory CASCADE"):
            await run()


async def test_two_folders_do_not_mix(quick_folder: Path, postgres_url: str) -> None:
    file, other = await lived(quick_folder), quick_folder / "other"
    other.mkdir()
    async with sqlite_store(other) as store:
        await submit(store, 1)
    with pytest.raises(KeyboardInterrupt):
        await carrier(file, postgres_url, 1).carry()
    with pytest.raises(ConfigurationError, match="holds a part of another data folder"):
        await carrier(other / "observatory.db", postgres_url).carry()
    await carrier(file, postgres_url).carry()
    with pytest.raises(ConfigurationError, match="holds another data folder"):
        await carrier(other / "observatory.db", postgres_url).carry()


async def test_a_folder_that_went_on_after_it_was_carried_over_is_refused(quick_folder: Path, postgres_url: str) -> None:
    file = await lived(quick_folder)
    await carrier(file, postgres_url).carry()
    async with sqlite_store(quick_folder) as store:
        await submit(store, 1)
    with pytest.raises(ConfigurationError, match="a system has worked on it since"):
        await carrier(file, postgres_url).carry()


async def test_rows_that_somebody_else_wrote_are_noticed(quick_folder: Path, postgres_url: str) -> None:
    file = await lived(quick_folder)
    with pytest.raises(KeyboardInterrupt):
        await carrier(file, postgres_url, len(PARTS) - 3).carry()
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO observatory.streams VALUES ('schedule/strange', 1)")
    with pytest.raises(ObservatoryError, match="rows of streams"):
        await carrier(file, postgres_url).carry()


async def test_a_folder_of_another_layout_is_refused(quick_folder: Path, postgres_url: str) -> None:
    file = await lived(quick_folder)
    for layout, words in ((99, "use the version that wrote it"), (3, "start this version on it once")):
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(f"PRAGMA user_version = {layout}")
        with pytest.raises(ConfigurationError, match=words):
            await carrier(file, postgres_url).carry()


async def test_a_database_that_is_away_is_said_so(quick_folder: Path) -> None:
    file = await lived(quick_folder)
    with pytest.raises(StoreUnavailable, match="run it again, and it goes on there"):
        await carrier(file, "postgresql://localhost:1/x").carry()
