"""What is PostgreSQL's own: its layout, its plans, its clock, its limits of time; and jobs in a caller's own transaction."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from console.api.errors import CannotSend, ObservatoryApiError
from console.client import AsyncClient, Client
from contracts.errors import ConfigurationError, ContractViolation, StoreUnavailable
from contracts.job import Job
from contracts.validation import validate_event
from functions.stores.backends import postgres_committing
from functions.stores.backends import postgres_migrations as migrations
from functions.stores.backends.postgres_callers_transaction import at_once, submit_within
from functions.stores.backends.postgres_connection import _cut
from functions.stores.backends.postgres_database import PostgresDatabase, Seconds
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.backends.postgres_statements import STATEMENTS, Call
from functions.stores.job_store import Submitted
from tests.ports.job_store.steps import claimed, one, request, running, submitted, told
from tests.support.checker import check
from tests.support.postgres import Databases
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.servers
BACKENDS = Path(__file__).resolve().parents[2] / "functions" / "stores" / "backends"


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresJobStore]:
    store = PostgresJobStore.at(postgres_url, check=validate_event)
    await store.open()
    await store.declare_queues([("default", None, None, False), ("bulk", 2, None, False)])
    yield store
    await store.close()
    assert check(postgres_url) == []


# ---- the layout -------------------------------------------------------------------------------------------------


async def test_processes_that_start_at_once_make_the_layout_once(postgres_databases: Databases) -> None:
    url = postgres_databases.bare()
    try:
        applied = await asyncio.gather(*(migrations.migrate(PostgresDatabase(url)) for _ in range(4)))
        assert sorted(map(len, applied)) == [0, 0, 0, len(migrations.steps())]
        assert await migrations.migrate(PostgresDatabase(url)) == []
        await migrations.check(PostgresDatabase(url))
    finally:
        postgres_databases.drop(url)


async def test_a_function_that_may_not_migrate_says_who_must(postgres_databases: Databases) -> None:
    url = postgres_databases.bare()
    try:
        with pytest.raises(ConfigurationError, match="make migrate"):
            await PostgresJobStore.at(url, check=validate_event, migrate=False).open()
    finally:
        postgres_databases.drop(url)


async def test_a_layout_from_a_later_version_is_refused(postgres_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("INSERT INTO observatory.migrations (number, name) VALUES (999, 'later')")
    for migrate in (True, False):
        with pytest.raises(ConfigurationError, match="layout 999"):
            await PostgresJobStore.at(postgres_url, check=validate_event, migrate=migrate).open()


def test_every_statement_has_a_user_and_every_use_a_statement() -> None:
    text = "".join(path.read_text() for path in BACKENDS.glob("postgres_*.py")) + "".join(
        path.read_text() for path in BACKENDS.glob("postgres_search/*.py")
    )
    named = {name for name in STATEMENTS if f'"{name}"' in text or re.sub(r"^(statistics|checkpoint)_", "{owner}_", name) in _of_owners(text)}
    assert set(STATEMENTS) - named == set()
    used = set(re.findall(r'(?:call|rows|add)\(\s*(?:[^"()]*,\s*)?"([a-z_]+)"', text))
    assert used - STATEMENTS.keys() - {"cursor"} == set()


def _of_owners(text: str) -> set[str]:
    parts = ("states", "sums", "buckets")
    return {name.replace("{part}", part) for name in re.findall(r'f"(\{owner\}_[a-z_{}]+)"', text) for part in parts}


def test_a_url_that_cannot_be_read_says_so_without_its_password() -> None:
    with pytest.raises(ConfigurationError, match="OBSERVATORY_POSTGRES_URL") as found:
        PostgresDatabase("postgresql://anna:s3cret@host/x?nonsense=1")
    assert "s3cret" not in str(found.value)


# ---- plans ------------------------------------------------------------------------------------------------------

SIZES = (20_000, 1_000_000)
_FILL = """
    INSERT INTO observatory.jobs ({columns}) SELECT {columns} FROM (
        SELECT gen_random_uuid() AS id, 'demo.noop' AS type, 1 AS task_version, 'default' AS queue, n %% 10 AS priority,
            CASE WHEN n %% 100 = 0 THEN 'queued' WHEN n %% 100 = 1 THEN 'scheduled' WHEN n %% 100 = 2 THEN 'running' ELSE 'succeeded' END AS status,
            '{{}}' AS payload, 5 AS max_attempts, 5 AS attempts_allowed, 60 AS timeout_seconds, n AS created_at, '{{}}' AS backoff, 'anna' AS actor,
            gen_random_uuid() AS root_id, 'cancel' AS on_parent_failure, NULL AS result, NULL AS error, 1 AS attempt, CASE WHEN n %% 100 = 1 THEN 0 ELSE 1 END
            AS lease_token, CASE WHEN n %% 100 = 2 THEN n END::bigint AS lease_until, 'w' AS worker, NULL::bigint AS cancel_requested_at, NULL AS cancel_actor,
            NULL AS cancel_reason, NULL AS progress, '[]' AS tags, CASE WHEN n %% 50 = 0 THEN n::text END AS unique_key, NULL::uuid AS parent_id,
            '[]' AS depends_on, 0 AS open_parents, NULL AS schedule, NULL AS source, NULL AS source_id, NULL AS traceparent, n AS queued_at,
            CASE WHEN n %% 100 = 1 THEN n END::bigint AS run_at, n AS started_at, CASE WHEN n %% 100 > 2 THEN n END::bigint AS finished_at,
            CASE WHEN n %% 100 < 2 THEN n END::bigint AS expires_at, 4 AS sequence
        FROM generate_series(1, {jobs}) AS n) AS made"""
_FEED = """
    INSERT INTO observatory.events (commit_id, place, stream, sequence, type, time, body)
    SELECT n, e, 'job/' || jobs.id, e + 1, 'dev.observatory.job.queued.v1', n, '{}'
    FROM (SELECT id, number AS n FROM observatory.jobs) AS jobs, generate_series(0, 1) AS e"""
_PLACED = "INSERT INTO observatory.placed (last, events, commit_id) SELECT number * 2, 2, number FROM observatory.jobs"
IDS = ["00000000-0000-7000-8000-000000000000"]
PLANS: dict[str, tuple[dict[str, Any], str]] = {
    "lock_jobs": ({"ending": IDS, "ids": IDS}, "jobs_pkey"),
    "lock_ending": ({"ending": IDS}, "jobs_pkey"),
    "try_ending": ({"ending": IDS}, "jobs_pkey"),
    "look_at_jobs": ({"ids": IDS}, "jobs_pkey"),
    "claim": ({"queue": "default", "limit": 10, "passed_over": []}, "jobs_claimable"),
    "claim_limited": ({"queue": "default", "limit": 10, "max_running": 3, "passed_over": []}, "jobs_claimable"),
    "expired": ({"now": 50, "limit": 100}, "jobs_expiring"),
    "due": ({"now": 50, "limit": 100}, "jobs_due"),
    "lost": ({"until": 50, "limit": 100}, "jobs_running"),
    "next_due_at": ({"now": 50, "handled": IDS}, "jobs_due"),
    "holders_of_unique_keys": ({"pairs": '[{"type": "demo.noop", "unique_key": "50"}]'}, "jobs_unique_key"),
    "queues": ({}, "jobs_queued"),
    "walk_jobs": ({"after": 500, "limit": 100}, "jobs_number"),
    "jobs_by_number": ({"after": 500, "limit": 100}, "jobs_number"),
    "update_jobs": ({"rows": "[]"}, "jobs_pkey"),
    "feed": ({"after": 500, "limit": 100}, "placed_pkey"),
    "feed_up_to": ({"after": 500, "upto": 600, "limit": 100}, "placed_pkey"),
    "events_before": ({"before": 5_000, "floor": 100, "types": [], "limit": 100}, "placed_pkey"),
    "events_of": ({"stream": "job/x", "after": 0, "limit": 100}, "events_of_stream"),
    "whole_streams": ({"streams": ["job/x", "job/y"]}, "events_of_stream"),
    "family": ({"id": IDS[0], "limit": 100}, "jobs_by_parent"),
}


@pytest.mark.parametrize("jobs", SIZES)
async def test_statements_find_what_they_need_by_indexes(postgres_url: str, jobs: int) -> None:
    """As the server plans by itself, with statistics and without our leaning on it."""
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        columns = STATEMENTS["insert_jobs"].sql.decode().split("(", 1)[1].split(")", 1)[0]
        await connection.execute(_FILL.format(columns=columns, jobs=jobs).replace("{{}}", "{}").replace("%%", "%").encode())
        await connection.execute(_FEED.encode())
        await connection.execute(_PLACED.encode())
        await connection.execute("ANALYZE")
        for name, (values, index) in PLANS.items():
            found = await connection.execute(b"EXPLAIN (FORMAT JSON) " + STATEMENTS[name].sql, values)
            plan = json.dumps((await found.fetchone())[0])  # type: ignore[index]
            assert f'"Index Name": "{index}"' in plan, f"{name}: {plan}"
            for table in ("jobs", "events", "placed"):
                assert not re.search(rf'"Seq Scan"[^{{}}]*"Relation Name": "{table}"', plan), f"{name} reads all of {table}: {plan}"


async def test_a_renewed_lease_and_progress_touch_no_index(store: PostgresJobStore, postgres_url: str) -> None:
    job = await running(store)
    for number in range(30):
        await store.renew([(job.id, job.lease_token)], 15)
        await store.progress(job.id, job.lease_token, {"fraction": number / 30, "message": None})
    await store.close()
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection, asyncio.timeout(20):
        hot = 0
        while hot < 50:  # the server tells its figures a moment later
            await asyncio.sleep(0.05)
            sql = "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'jobs'"
            ((hot,),) = await (await connection.execute(sql)).fetchall()


# ---- clock and time ---------------------------------------------------------------------------------------------


async def test_time_is_the_database_s(store: PostgresJobStore, postgres_url: str) -> None:
    job = await running(store)
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        row = await (await connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")).fetchone()
    assert row is not None
    assert abs(store.now() - row[0]) < 1_000_000
    assert job.lease_until is not None and abs(job.lease_until - row[0] - 15_000_000) < 5_000_000


async def test_a_slow_link_is_asked_for_the_time_once_a_second_and_not_with_every_write(postgres_url: str) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(postgres_url)
    with TcpProxy(str(parts["host"]), int(str(parts["port"]))) as proxy:
        url = psycopg.conninfo.make_conninfo(**{**parts, "port": proxy.port})
        store = PostgresJobStore(PostgresDatabase(url), check=validate_event, migrate=False)
        await store.open()
        proxy.slow(0.03)
        await one(store)
        real, asked, begun = store.link.ask, 0, time.monotonic()

        async def ask(*calls: Call) -> list[Any]:
            nonlocal asked
            asked += 1
            return await real(*calls)

        store.link.ask = ask  # type: ignore[method-assign]
        while time.monotonic() - begun < 3.5:
            await one(store)
        assert 1 <= asked <= 4
        await store.close()


async def test_a_process_whose_own_clock_is_wrong_changes_no_lease(store: PostgresJobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.now()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    job = await running(store)
    assert job.lease_until is not None and job.lease_until > before
    assert (await store.tick()).rescued == 0


@pytest.mark.parametrize("what", ["read", "write"])
async def test_a_server_that_says_nothing_is_given_up_within_the_time_limit(postgres_url: str, what: str) -> None:
    """The first connections are answered; then everything is swallowed."""
    async with _Swallower(postgres_url) as proxy:
        seconds = Seconds(connect=1.0, statement=0.5, read=0.5)
        store = PostgresJobStore(PostgresDatabase(proxy.url, seconds=seconds), check=validate_event, migrate=False)
        await store.open()
        await one(store)
        proxy.swallows = True
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await (store.head() if what == "read" else one(store))
        assert time.monotonic() - begun < 15
        proxy.swallows = False
        async with asyncio.timeout(30):
            while True:
                try:
                    await one(store)
                    assert await store.head() > 0
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.05)
        await store.close()


class _Swallower:
    """A TCP proxy in front of the server that can stop to pass anything on."""

    def __init__(self, url: str) -> None:
        parts = psycopg.conninfo.conninfo_to_dict(url)
        self._address = str(parts["host"]), int(str(parts["port"]))
        self._parts, self.url = parts, ""
        self.swallows: bool | str = False  # everything, or `questions` or `answers` alone
        self.swallowed = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "_Swallower":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = psycopg.conninfo.make_conninfo(**{**self._parts, "host": "127.0.0.1", "port": self._server.sockets[0].getsockname()[1]})
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._address)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass(reader, back, "questions"), self._pass(there, writer, "answers"))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: str) -> None:
        try:
            while data := await reader.read(65_536):
                if self.swallows is True or self.swallows == what:
                    self.swallowed.set()
                    continue
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize("what", ["questions", "answers"])
async def test_a_submission_whose_answer_was_lost_is_found_out_about(postgres_url: str, what: str) -> None:
    """Whether the commit took place or not, it is one job, and the answer is true."""
    async with _Swallower(postgres_url) as proxy:
        database = PostgresDatabase(proxy.url, seconds=Seconds(connect=1.0, statement=0.5, read=0.5, placing=0.05))
        store = PostgresJobStore(database, check=validate_event, migrate=False)
        await store.open()
        await one(store)
        proxy.swallows = what
        proxy.swallowed.clear()
        asked = asyncio.ensure_future(store.submit([request(), request()]))
        await proxy.swallowed.wait()
        await asyncio.sleep(0.1)
        proxy.swallows = False  # what was swallowed stays so: this connection is lost
        answers = await asyncio.wait_for(asked, 30)
        assert [isinstance(answer, Submitted) and answer.created for answer in answers] == [True, True]
        assert sum((await store.counts()).values()) == 3
        await store.tick()
        await store.close()
    assert check(postgres_url) == []


_SLOW_COMMITS = """
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(99); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON observatory.unplaced DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
    SELECT pg_advisory_lock(99)"""


async def test_a_commit_that_goes_on_without_its_client_is_waited_for(store: PostgresJobStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is cut at the commit. While the server is at it, nothing is done again; and it ends just as we look."""
    looks = 0
    real = store.link.ask

    async def ask(*calls: Call) -> list[Any]:
        nonlocal looks
        if len(calls) != 2:
            return await real(*calls)
        looks += 1
        (first,) = await real(calls[0])
        if looks == 3:
            await admin.execute("SELECT pg_advisory_unlock(99)")
            while await (await admin.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (backend,))).fetchall():
                await asyncio.sleep(0.01)
        (second,) = await real(calls[1])
        return [first, second]

    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as admin:
        await admin.execute(_SLOW_COMMITS.encode())
        try:
            asked = asyncio.ensure_future(store.submit([request()]))
            await asyncio.sleep(0.3)
            backend = store.link.backend
            monkeypatch.setattr(store.link, "ask", ask)
            _cut(await store.link.connection())
            (answer,) = await asyncio.wait_for(asked, 30)
        finally:
            await admin.execute("DROP FUNCTION slow() CASCADE")
    assert isinstance(answer, Submitted) and answer.created
    assert looks == 3
    assert sum((await store.counts()).values()) == 1


async def test_what_cannot_be_known_is_said_to_be_unknown(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_committing, "FIND_OUT_SECONDS", 0.5)
    async with _Swallower(postgres_url) as proxy:
        database = PostgresDatabase(proxy.url, seconds=Seconds(connect=1.0, statement=0.5, read=0.5, placing=0.05))
        store = PostgresJobStore(database, check=validate_event, migrate=False)
        await store.open()
        await one(store)
        proxy.swallows = True
        with pytest.raises(StoreUnavailable, match="not known"):
            await one(store)
        proxy.swallows = False
        await store.close()


async def test_a_database_that_is_away_is_said_to_be_within_a_moment() -> None:
    store = PostgresJobStore.at("postgresql://nobody@127.0.0.1:1/nothing", check=validate_event)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await store.open()


# ---- a caller's own transaction ---------------------------------------------------------------------------------


async def test_a_job_comes_to_be_with_the_caller_s_commit_and_is_heard_of(store: PostgresJobStore, postgres_url: str) -> None:
    heard: list[Any] = []
    store.on_committed(heard.extend)
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("CREATE TABLE orders (id integer, job text)")
        (answer,) = await submit_within(connection, [request(payload={"order": 1})], validate_event)
        assert isinstance(answer, Submitted) and answer.created
        await connection.execute("INSERT INTO orders VALUES (1, %s)", (answer.id,))
        assert await store.counts() == {}
        await connection.commit()
    async with asyncio.timeout(10):
        while not heard:
            await asyncio.sleep(0.01)
    assert [event.subject for event in heard] == [f"job/{answer.id}"] * 2
    assert [job.id for job in await claimed(store)] == [answer.id]


async def test_a_roll_back_takes_the_job_along(store: PostgresJobStore, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        at_once(submit_within(connection, [request(keys=("key:1",), fingerprint=b"1")], validate_event))
        connection.rollback()
    await store.placing.place_all()
    assert await store.counts() == {} and await store.events_of("job/x") == []
    (again,) = await store.submit([request(keys=("key:1",), fingerprint=b"1")])
    assert isinstance(again, Submitted) and again.created


async def test_a_refused_request_leaves_the_caller_s_transaction_as_it_was(store: PostgresJobStore, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE orders (id integer)")
        refused, taken = at_once(submit_within(connection, [request(depends_on=IDS), request()], validate_event))
        assert isinstance(refused, ContractViolation) and isinstance(taken, Submitted)
        connection.execute("INSERT INTO orders VALUES (1)")
    assert (await store.job(taken.id)).status == "queued"


async def test_a_unique_key_that_another_takes_meanwhile_is_found_taken(store: PostgresJobStore, postgres_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url) as mine:
        await mine.execute("SELECT 1")
        holder = await one(store, unique_key="only")
        (answer,) = await submit_within(mine, [request(unique_key="only")], validate_event)
        assert isinstance(answer, Submitted) and (answer.id, answer.deduplicated) == (holder, True)


async def test_a_child_of_a_running_job_waits_for_it_across_transactions(store: PostgresJobStore, postgres_url: str) -> None:
    parent = await running(store)
    async with await psycopg.AsyncConnection.connect(postgres_url) as mine:
        (child,) = await submit_within(mine, [request(depends_on=[parent.id])], validate_event)
        assert isinstance(child, Submitted)
        await mine.commit()
    assert await told(store, child.id) == ["accepted"]


async def test_without_a_transaction_or_an_observatory_it_says_so(store: PostgresJobStore, postgres_url: str, postgres_databases: Databases) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        with pytest.raises(ConfigurationError, match="autocommit"):
            at_once(submit_within(connection, [request()], validate_event))
        with connection.transaction():
            at_once(submit_within(connection, [request()], validate_event))
    bare = postgres_databases.bare()
    with psycopg.connect(bare) as connection:
        connection.execute("CREATE TABLE orders (id integer)")
        with pytest.raises(ConfigurationError, match="no Observatory"):
            at_once(submit_within(connection, [request()], validate_event))
        connection.execute("INSERT INTO orders VALUES (1)")
    postgres_databases.drop(bare)


class _KnownClient(Client):
    """Knows the catalogue already, so that no server is asked."""

    def tasks(self) -> list[dict[str, Any]]:
        return TASKS

    def queues(self) -> list[dict[str, Any]]:
        return [{"name": "default"}]


class _KnownAsyncClient(AsyncClient):
    async def tasks(self) -> list[dict[str, Any]]:
        return TASKS

    async def queues(self) -> list[dict[str, Any]]:
        return [{"name": "default"}]


TASKS: list[dict[str, Any]] = [{
    "type": "demo.noop", "version": 2, "queue": "default", "description": "", "schema": {"type": "object", "required": ["n"]}, "timeout_seconds": 7.0,
    "max_attempts": 3, "backoff": {"initial_seconds": 1.0, "factor": 2.0, "maximum_seconds": 9.0, "jitter": True}, "priority": 4, "cron": None,
    "module": None, "schedule": None,
}]  # fmt: skip


async def test_the_client_submits_in_a_transaction_of_the_caller_s(store: PostgresJobStore, postgres_url: str) -> None:
    with _KnownClient() as client, psycopg.connect(postgres_url, row_factory=psycopg.rows.dict_row) as connection:
        job = client.submit("demo.noop", {"n": 1}, connection=connection, tags=["mine"], idempotency_key="a")
        with pytest.raises(ObservatoryApiError) as refused:
            client.submit("demo.noop", {}, connection=connection)
        with pytest.raises(CannotSend):
            client.submit("demo.noop", {"n": 1}, connection=connection, wait=1)
        assert (refused.value.status, refused.value.kind) == (422, "contract-violation")
        user = connection.info.user
        connection.commit()
        again = client.submit("demo.noop", {"n": 1}, connection=connection, tags=["mine"], idempotency_key="a")
    stored = await store.job(job.id)
    assert (stored.tags, stored.task_version, stored.max_attempts, stored.actor) == (["mine"], 2, 3, f"database:{user}")
    assert (again.id, again.created) == (job.id, False)
    async with _KnownAsyncClient() as asynchronous, await psycopg.AsyncConnection.connect(postgres_url) as mine:
        child = await asynchronous.submit("demo.noop", {"n": 2}, connection=mine, depends_on=[job])
        await mine.commit()
    assert (await store.job(child.id)).status == "waiting"


# ---- what a row may hold ----------------------------------------------------------------------------------------


async def test_what_text_columns_refuse_is_kept_all_the_same(store: PostgresJobStore) -> None:
    job_id = (await submitted(store, request(payload={"text": "a\x00b", "more": "\ud7ff\U0001f600"})))[0]
    (job,) = await claimed(store)
    assert isinstance(job, Job) and job.payload["text"] == "a\x00b"
    from functions.stores.moves import Ending

    error = {"type": "E", "message": "nul \x00 in it", "traceback": None}
    await store.end_attempts([Ending(job_id, job.lease_token, "permanent", error=error, output="printed \x00 and more")])
    (attempt,) = await store.attempts(job_id)
    assert (attempt.output, (await store.job(job_id)).error) == ("printed \x00 and more", error)
