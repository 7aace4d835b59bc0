"""`console rebuild` over PostgreSQL, and over statistics on Redis: what was spoilt is named, and mended from the log."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from contracts.schedule import ScheduleSpec
from contracts.validation import validate_event
from functions.metrics_engine.service import MetricsEngine
from functions.stores.backends.postgres_job_store import PostgresJobStore
from functions.stores.backends.postgres_stats_store import PostgresStatsStore
from functions.stores.backends.redis_stats_store import RedisStatsStore
from functions.stores.job_store import PUBLISH_CURSOR
from functions.stores.retention import Retention
from tests.console.test_command_line import NOWHERE, console
from tests.support.checker import check
from tests.support.postgres import Databases
from tests.support.servers import server_url
from tests.support.stores import mixed_life, run_all, submit

pytestmark = pytest.mark.servers


async def live(url: str) -> None:
    """Some of everything, retention and statistics included."""
    store: Any = PostgresJobStore.at(url, check=validate_event)
    await store.open()
    try:
        await store.declare_queues([("default", None, None, False)])
        engine = MetricsEngine(store, PostgresStatsStore(store))
        await submit(store, 30)
        await run_all(store)
        await store.advance(PUBLISH_CURSOR, await store.head())
        await engine.catch_up()
        assert (await store.prune(Retention({}, most_ended=12))).jobs == 18
        await mixed_life(store)
        await store.put_schedule("rare", ScheduleSpec(template={"type": "demo.noop", "payload": {}}, every_seconds=3_600), "anna")
        await engine.catch_up()
    finally:
        await store.close()


@pytest.fixture(scope="module")
def lived(postgres_databases: Databases) -> str:
    url = postgres_databases.make()
    asyncio.run(live(url))
    return url


_numbers = itertools.count()


@pytest.fixture
def url(lived: str, postgres_databases: Databases) -> Iterator[str]:
    """A copy of it, to be spoilt."""
    original = conninfo_to_dict(lived)["dbname"]
    name = f"{original}_spoilt_{next(_numbers)}"
    postgres_databases.execute(f'CREATE DATABASE "{name}" TEMPLATE "{original}"')
    yield postgres_databases.url(name)
    postgres_databases.drop(postgres_databases.url(name))


def rebuild(url: str, *arguments: str, **environment: str) -> tuple[int, Any]:
    done = console(NOWHERE, "rebuild", *arguments, "--json", environment={"OBSERVATORY_POSTGRES_URL": url, **environment})
    assert "Traceback" not in done.stderr and done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def spoil(url: str, sql: str) -> None:
    with psycopg.connect(url) as connection:
        assert connection.execute(sql.encode()).rowcount == 1, sql


_JOB = "WHERE number = (SELECT max(number) FROM observatory.jobs WHERE status = 'succeeded')"
SPOILT = {
    "a row": (f"UPDATE observatory.jobs SET result = '{{\"echo\": 7}}' {_JOB}", "job", "result"),
    "a status": (f"UPDATE observatory.jobs SET status = 'failed' {_JOB}", "job", "status"),
    "a job that waits for nobody": (f"UPDATE observatory.jobs SET status = 'waiting', open_parents = 1 {_JOB}", "family", "open_parents"),
    "a job that ended under a lease": (f"UPDATE observatory.jobs SET lease_until = 1 {_JOB}", "job", "lease_until"),
    "a job that counts parents and does not wait": (f"UPDATE observatory.jobs SET open_parents = 1 {_JOB}", "family", "open_parents"),
    "a row that is gone": (f"DELETE FROM observatory.jobs {_JOB}", "job", "row"),
    "an attempt": ("UPDATE observatory.attempts SET outcome = 'succeeded' WHERE (job_id, lease_token) ="
                   " (SELECT job_id, lease_token FROM observatory.attempts WHERE outcome = 'failed' LIMIT 1)", "attempt", "outcome"),
    "a schedule that is gone": ("DELETE FROM observatory.schedules WHERE name = 'rare'", "schedule", "row"),
    "a counter": ("UPDATE observatory.counts SET jobs = jobs + 1 WHERE type = 'demo.noop' AND status = 'succeeded'", "counts",
                  "default demo.noop succeeded"),
    "a state of the statistics": ("UPDATE observatory.statistics_states SET jobs = jobs + 1 WHERE type = 'demo.noop' AND status = 'succeeded'",
                                  "statistics", "default demo.noop succeeded"),
    "a sum": ("UPDATE observatory.statistics_sums SET value = value + 1 WHERE minute = 0 AND type = 'demo.noop' AND measure = 'accepted'",
              "statistics", "0 default demo.noop accepted"),
    "a bucket": ("UPDATE observatory.statistics_buckets SET count = count + 1 WHERE (minute, queue, type, measure, bucket) ="
                 " (SELECT minute, queue, type, measure, bucket FROM observatory.statistics_buckets WHERE minute = 0 LIMIT 1)",
                 "statistics", "0 default"),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_what_was_spoilt_is_named_and_mended_from_the_log(url: str, what: str) -> None:
    sql, part, field = SPOILT[what]
    spoil(url, sql)
    code, report = rebuild(url, "--check")
    assert code == 1
    assert any(item["part"] == part and item["field"].startswith(field) for item in report["items"]), report["items"]
    code, report = rebuild(url, "--apply", "--yes")
    assert (code, report["differences"]) == (0, 0), report
    assert report["mended"] >= 1
    assert check(url) == []


_CHILD = "(SELECT id FROM observatory.jobs WHERE status = 'waiting' ORDER BY number DESC LIMIT 1)"
_EDGE = f"WHERE ctid = (SELECT min(ctid) FROM observatory.edges WHERE child_id = {_CHILD})"
HANGING = {
    "waits for one too many": (f"UPDATE observatory.jobs SET open_parents = 3 WHERE id = {_CHILD}", "open_parents"),
    "waits for one too few": (f"UPDATE observatory.jobs SET open_parents = 1 WHERE id = {_CHILD}", "open_parents"),
    "is not told of an end": (f"UPDATE observatory.edges SET settled = true {_EDGE}", "waits_for"),
    "is not known to its parent": (f"DELETE FROM observatory.edges {_EDGE}", "waits_for"),
}


@pytest.mark.parametrize("what", HANGING)
async def test_a_job_that_would_wait_wrongly_is_named_and_mended_and_goes_on_when_its_parents_end(url: str, what: str) -> None:
    sql, field = HANGING[what]
    async with opened(url) as store:
        parents = await submit(store, 2, priority=9)
        (child,) = await submit(store, 1, depends_on=parents)
    spoil(url, sql)
    await asyncio.to_thread(named_and_mended, url, field)
    async with opened(url) as store:
        assert set(parents) <= {job.id for job in await run_all(store)}
        assert (await store.job(child)).status == "queued"
    assert check(url) == []


async def test_a_job_whose_parents_have_ended_meanwhile_goes_on_once_it_is_mended(url: str) -> None:
    async with opened(url) as store:
        parents = await submit(store, 2, priority=9)
        (child,) = await submit(store, 1, depends_on=parents)
    spoil(url, HANGING["waits for one too many"][0])
    async with opened(url) as store:
        await run_all(store)
        assert (await store.job(child)).status == "waiting"
    await asyncio.to_thread(named_and_mended, url, "open_parents")
    async with opened(url) as store:
        assert (await store.job(child)).status == "queued"
    assert check(url) == []


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Any]:
    store = PostgresJobStore.at(url, check=validate_event)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def named_and_mended(url: str, field: str) -> None:
    code, report = rebuild(url, "--check")
    assert (code, [(item["part"], item["field"]) for item in report["items"]]) == (1, [("family", field)]), report["items"]
    code, report = rebuild(url, "--apply", "--yes")
    assert (code, report["differences"]) == (0, 0), report


def test_a_whole_log_shows_no_difference_beside_an_open_store(url: str) -> None:
    code, report = asyncio.run(_beside(url, "--check"))
    assert (code, report["differences"], report["items"]) == (0, 0, [])
    assert report["jobs"] > 15 and report["events"] > 50


async def _beside(url: str, *arguments: str) -> tuple[int, Any]:
    """What a call comes to while a store is open on the database, as a system's is."""
    store = PostgresJobStore.at(url, check=validate_event)
    await store.open()
    try:
        done = await asyncio.to_thread(console, NOWHERE, "rebuild", *arguments, "--json", environment={"OBSERVATORY_POSTGRES_URL": url})
    finally:
        await store.close()
    return done.returncode, json.loads(done.stdout or done.stderr)


def test_nothing_is_mended_while_a_system_runs_on_the_database(url: str) -> None:
    spoil(url, SPOILT["a sum"][0])
    code, said = asyncio.run(_beside(url, "--apply", "--yes"))
    assert code == 2 and "a system runs on" in said["error"]["message"]
    assert rebuild(url)[0] == 1


async def test_statistics_on_redis_are_held_against_the_log_and_mended(url: str) -> None:
    store: Any = PostgresJobStore.at(url, check=validate_event)
    await store.open()
    stats = RedisStatsStore(server_url("redis"), store.source)
    try:
        await MetricsEngine(store, stats).catch_up()
        await store.close()
        bucket = next(field for field in await stats._redis.hgetall(stats._totals) if field.startswith("b|"))
        await stats._redis.hincrby(stats._totals, bucket, 1)
        environment = {"OBSERVATORY_REDIS_URL": server_url("redis")}
        code, report = await asyncio.to_thread(rebuild, url, "--check", **environment)
        assert code == 1 and report["differences"] == 1 and report["items"][0]["part"] == "statistics", report
        code, report = await asyncio.to_thread(rebuild, url, "--apply", **environment)
        assert (code, report["mended"], report["differences"]) == (0, 1, 0), report
    finally:
        async for key in stats._redis.scan_iter(match=f"{stats._prefix}*"):
            await stats._redis.delete(key)
        await stats.close()
