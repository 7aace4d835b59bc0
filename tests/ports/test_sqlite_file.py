"""What is SQLite's own: the file, its layout, its one writer, a full or unwritable disk."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ConfigurationError, ContractViolation, DataFolderTooNew, ObservatoryError, StoreUnavailable
from contracts.validation import validate_event
from functions.stores.backends import sqlite_database
from functions.stores.backends.sqlite_database import MIGRATIONS, migrate
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from functions.stores.backends.sqlite_state import SqlWrite
from tests.ports.job_store.soundness import assert_sound
from tests.ports.job_store.steps import SECOND, all_taken, claimed, ended, ending, one, request, run, running, states, submitted
from tests.support.checker import check
from tests.support.stores import SteppedClock

BIG = {"text": "x" * 200_000}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteJobStore]:
    store = SqliteJobStore.at(tmp_path / "observatory.db", check=validate_event)
    await store.open()
    yield store
    await store.close()
    assert check(tmp_path / "observatory.db") == []


async def pragma(store: SqliteJobStore, text: str) -> Any:
    """Asks the writer's own connection."""
    return await store.database.ask(SqlWrite(lambda connection: connection.execute(f"PRAGMA {text}").fetchone()))


# ---- durability -------------------------------------------------------------------------------------------------


async def test_every_commit_is_synced_to_the_disk(store: SqliteJobStore) -> None:
    assert await pragma(store, "journal_mode") == ("wal",)
    assert await pragma(store, "synchronous") == (2,)  # FULL


async def test_writers_at_once_share_commits(store: SqliteJobStore) -> None:
    before = store.database.commits
    await asyncio.gather(*(store.submit([request()]) for _ in range(300)))
    assert store.database.commits - before < 30


async def test_no_answer_comes_before_its_commit(store: SqliteJobStore) -> None:
    with sqlite3.connect(store.database.path) as other:  # sees what is committed, and nothing else
        for _ in range(20):
            job_id = await one(store)
            assert other.execute("SELECT count(*) FROM jobs WHERE id = ?", (job_id,)).fetchone() == (1,)
    other.close()


async def test_what_may_wait_is_written_within_a_moment(store: SqliteJobStore) -> None:
    async with asyncio.timeout(10):
        await store.advance("reader", 7)
    assert (await store.cursors())["reader"] == 7


async def test_a_writer_without_a_pause_lets_the_log_begin_anew_at_its_limit(store: SqliteJobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_database, "LOG_LIMIT_BYTES", 16_000_000)
    sizes = []
    for _ in range(40):
        await submitted(store, *[request(payload=BIG) for _ in range(10)])
        sizes.append(Path(f"{store.database.path}-wal").stat().st_size)
    assert max(sizes) < 48_000_000, sizes  # 160 MB were written, 4 MB a commit


async def test_a_caller_that_gives_up_takes_nobody_along(store: SqliteJobStore) -> None:
    asks = [asyncio.ensure_future(store.submit([request(payload={"n": n})])) for n in range(30)]
    await asyncio.sleep(0)
    for ask in asks[::2]:
        ask.cancel()
    answers = await asyncio.gather(*asks, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True, False] * 15
    await assert_sound(store)


# ---- a poisoned command -----------------------------------------------------------------------------------------

POISON: dict[str, Callable[[SqliteJobStore], Any]] = {
    "text that is no Unicode": lambda store: store.submit([request(payload={"text": "\ud800"})]),
    "an event that breaks its contract": lambda store: store.submit([request(job_type="NO TYPE")]),
    "a value that no column holds": lambda store: store.submit([request(expires_at=2**70)]),
    "what is no JSON": lambda store: store.submit([request(payload={"set": {1, 2}})]),
    "a broken statement": lambda store: store.database.ask(SqlWrite(lambda connection: connection.execute("INSERT INTO nowhere VALUES (1)"))),
    "a bug": lambda store: store.database.ask(SqlWrite(lambda connection: 1 / 0)),
}  # fmt: skip


@pytest.mark.parametrize("poison", POISON)
async def test_a_poisoned_command_fails_alone_in_its_batch(store: SqliteJobStore, poison: str) -> None:
    job = await running(store)
    batch = [store.submit([request()]), store.submit([request()]), POISON[poison](store), store.end_attempts([ending(job)]), store.tick()]
    first, second, bad, end, tick = await asyncio.gather(*batch, return_exceptions=True)
    assert isinstance(bad, ObservatoryError), bad
    assert end == ["succeeded"]
    assert not isinstance(tick, BaseException)
    assert await states(store, job.id, all_taken(first)[0].id, all_taken(second)[0].id) == ["succeeded", "queued", "queued"]
    await assert_sound(store)
    assert len(await claimed(store, 10)) == 2


async def test_an_event_is_checked_before_it_is_stored(store: SqliteJobStore) -> None:
    with pytest.raises(ContractViolation) as refused:
        await store.submit([request(job_type="NO TYPE")])
    assert {fault.pointer for fault in refused.value.faults} >= {"/jobtype"}
    assert await store.head() == 0


# ---- a disk that is full, unwritable or taken -------------------------------------------------------------------


async def test_a_full_store_says_so_and_keeps_nothing_by_halves(store: SqliteJobStore) -> None:
    job = await running(store)
    pages = (await pragma(store, "page_count"))[0]
    await pragma(store, f"max_page_count = {pages + 120}")
    taken, refused = [], 0
    for _ in range(8):
        try:
            taken += await submitted(store, *[request(payload=BIG, tags=["full"], keys=(f"key:{n}",), fingerprint=b"1") for n in range(2)])
        except StoreUnavailable as error:
            refused += 1
            assert "full" in error.message
    assert refused >= 1
    assert len(set(taken)) == sum((await store.counts()).values()) - 1
    await assert_sound(store)
    await pragma(store, "max_page_count = 1000000000")
    assert await ended(store, job) == "succeeded"
    assert len(await submitted(store, request(payload=BIG))) == 1


async def test_a_store_that_is_full_can_be_read(store: SqliteJobStore) -> None:
    job_id = await one(store)
    await pragma(store, f"max_page_count = {(await pragma(store, 'page_count'))[0]}")
    with pytest.raises(StoreUnavailable):
        await submitted(store, *[request(payload=BIG) for _ in range(5)])
    assert await states(store, job_id) == ["queued"]
    await store.ping()


async def test_an_unwritable_store_says_so_and_recovers(store: SqliteJobStore) -> None:
    writer: sqlite3.Connection = await store.database.ask(SqlWrite(lambda connection: connection))
    writer.execute("PRAGMA query_only = ON")
    for write in (store.submit([request()]), store.tick(), store.advance("reader", 1)):
        with pytest.raises(StoreUnavailable, match="cannot write"):
            await write
    assert await store.head() == 0
    writer.execute("PRAGMA query_only = OFF")
    assert await states(store, await one(store)) == ["queued"]


async def test_a_file_that_another_program_holds_is_waited_for_and_then_reported(store: SqliteJobStore) -> None:
    await pragma(store, "busy_timeout = 50")
    with sqlite3.connect(store.database.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await one(store)
        other.execute("ROLLBACK")
    other.close()
    assert await states(store, await one(store)) == ["queued"]


def test_a_disk_without_room_is_told_as_such(tmp_path: Path) -> None:
    """In a process whose files may not grow past 2 MB: the log hits the limit in the middle of a write."""
    program = f"""
import asyncio, resource, signal
from pathlib import Path
from contracts.errors import StoreUnavailable
from contracts.validation import validate_event
from functions.stores.backends.sqlite_job_store import SqliteJobStore
from tests.ports.job_store.steps import request, submitted

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))

async def main():
    store = SqliteJobStore.at(Path({str(tmp_path / "observatory.db")!r}), check=validate_event)
    await store.open()
    taken = []
    try:
        for _ in range(40):
            taken += await submitted(store, request(payload={{"text": "x" * 200_000}}))
    except StoreUnavailable as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert len(taken) == sum((await store.counts()).values()), (taken, await store.counts())
        taken += await submitted(store, request())
        print(len(taken), type(error).__name__)
    await store.close()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    count, _, name = done.stdout.strip().partition(" ")
    assert name == "StoreUnavailable"
    assert check(tmp_path / "observatory.db") == []
    with sqlite3.connect(tmp_path / "observatory.db") as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (int(count),)
    connection.close()


# ---- the layout -------------------------------------------------------------------------------------------------


def layout(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        (number,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(number)


async def test_a_new_file_has_the_newest_layout(tmp_path: Path, store: SqliteJobStore) -> None:
    numbers = [int(step.name.split("-")[0]) for step in sorted(MIGRATIONS.glob("*.sql"))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert layout(store.database.path) == numbers[-1]


async def test_a_newer_layout_is_refused_in_words_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "observatory.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(DataFolderTooNew, match=r"has layout 999.*up to \d+.*OBSERVATORY_DATA"):
        await SqliteJobStore.at(path, check=validate_event).open()
    assert layout(path) == 999


async def test_a_start_forgets_the_workers_of_the_process_before(tmp_path: Path, store: SqliteJobStore) -> None:
    await store.declare_queues([("default", None, None, False)])
    await claimed(store, worker="before")
    await store.close()
    again = SqliteJobStore.at(store.database.path, check=validate_event)
    await again.open()
    await claimed(again, worker="now")
    assert {queue.name: list(queue.workers) for queue in await again.queues()} == {"default": ["now"]}
    await again.close()


async def test_a_file_that_is_no_database_is_refused_in_words_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "observatory.db"
    path.write_text("no database")
    with pytest.raises(ConfigurationError, match=r"observatory\.db cannot be used: file is not a database.*OBSERVATORY_DATA"):
        await SqliteJobStore.at(path, check=validate_event).open()
    assert path.read_text() == "no database"


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """The migrations, and a folder to which a test adds its own."""
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


def add_step(steps: Path, sql: str) -> None:
    number = len(list(steps.glob("*.sql"))) + 1
    (steps / f"{number:03d}-of-a-test.sql").write_text(sql)


async def test_an_older_file_is_brought_up_to_date_with_everything_in_it(tmp_path: Path, store: SqliteJobStore, steps: Path) -> None:
    job_id = await one(store)
    before = layout(store.database.path)
    add_step(steps, "CREATE TABLE added (a INTEGER);")
    add_step(steps, "INSERT INTO added SELECT count(*) FROM jobs;")
    with sqlite3.connect(store.database.path, isolation_level=None) as connection:
        migrate(connection, steps, store.database.path)
        migrate(connection, steps, store.database.path)
        assert connection.execute("SELECT a FROM added").fetchall() == [(1,)]
        assert connection.execute("SELECT id FROM jobs").fetchall() == [(job_id,)]
    connection.close()
    assert layout(store.database.path) == before + 2


async def test_a_step_that_fails_leaves_the_layout_before_it(store: SqliteJobStore, steps: Path) -> None:
    before = layout(store.database.path)
    add_step(steps, "CREATE TABLE first (a INTEGER); INSERT INTO nowhere VALUES (1);")
    with sqlite3.connect(store.database.path, isolation_level=None) as connection:
        with pytest.raises(ConfigurationError, match=r"of-a-test\.sql.*nowhere"):
            migrate(connection, steps, store.database.path)
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'first'").fetchone() == (0,)
    connection.close()
    assert layout(store.database.path) == before


async def test_a_library_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_database.sqlite3, "sqlite_version_info", (3, 34, 9))
    with pytest.raises(ConfigurationError, match=r"3\.35"):
        await SqliteJobStore.at(tmp_path / "observatory.db", check=validate_event).open()


async def test_a_folder_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "observatory.db").mkdir()
    with pytest.raises(ConfigurationError, match="OBSERVATORY_DATA"):
        await SqliteJobStore.at(tmp_path / "observatory.db", check=validate_event).open()


async def test_a_deployment_keeps_its_source_for_life(tmp_path: Path) -> None:
    sources = set()
    for _ in range(3):
        store = SqliteJobStore.at(tmp_path / "observatory.db", check=validate_event)
        await store.open()
        sources.add(store.source)
        await store.close()
    assert len(sources) == 1


# ---- the clock --------------------------------------------------------------------------------------------------


async def test_a_wall_clock_that_was_set_back_revives_no_lease_and_delays_no_job(tmp_path: Path) -> None:
    wall = SteppedClock()

    async def opened() -> SqliteJobStore:
        store = SqliteJobStore.at(tmp_path / "observatory.db", check=validate_event, wall=wall)
        await store.open()
        return store

    store = await opened()
    first = store.now()
    job = await running(store)
    later = await one(store, run_at=store.now() + SECOND // 20)
    await store.close()
    wall.advance(-86_400)
    store = await opened()
    assert first < store.now() < first + 60 * SECOND
    await asyncio.sleep(0.06)
    await store.tick()
    assert await states(store, job.id, later) == ["running", "queued"]
    await run(store)
    times = [event.time for event in await store.feed(0, 100)]
    assert times == sorted(times)
    await store.close()
