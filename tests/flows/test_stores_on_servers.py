"""The whole system with its statistics on Redis and its event log on MongoDB: fed, emptied, killed, stopped, and right afterwards."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.runtime.servers.servers import Servers
from functions.stores.backends.mongo_event_log import MongoEventLog
from functions.stores.backends.redis_stats_store import RedisStatsStore
from tests.support.servers import own_servers
from tests.support.system import ROOT, System, running_system
from tests.support.waiting import wait_until

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with own_servers("redis", "mongo") as started:
        yield started


@pytest.fixture
def system(servers: Servers, tmp_path: Path) -> Iterator[System]:
    """Ended jobs are dropped after a second; the event log is this test's own."""
    mongo = f"{servers.url('mongo').rpartition('/')[0]}/{tmp_path.name[-30:].strip('_')}"
    environment = {
        "OBSERVATORY_REDIS_URL": servers.url("redis"), "OBSERVATORY_MONGO_URL": mongo, "OBSERVATORY_TICK_SECONDS": "0.5",
        "OBSERVATORY_KEEP_SUCCEEDED_DAYS": "0.00001", "OBSERVATORY_WORKERS": "1",
    }  # fmt: skip
    with running_system(tmp_path / "data", **environment) as started:
        started.mongo = mongo  # type: ignore[attr-defined]
        yield started


def run_some(system: System, count: int) -> list[str]:
    """Ids of so many jobs that ended."""
    jobs = [{"type": "demo.noop", "payload": {}} for _ in range(count)]
    items = system.request("POST", "/v1/jobs/batch", {"jobs": jobs}).json()["items"]
    ids = [item["id"] for item in items]
    wait_until(lambda: ended(system) >= ids[-1], 60)
    return ids


def ended(system: System) -> str:
    """The highest id of a job that succeeded, from the feed (the jobs may be dropped by now)."""
    found = system.request("GET", "/v1/events?type=job.succeeded&limit=500").json()["items"]
    return max((item["subject"].removeprefix("job/") for item in found), default="")


def all_events(system: System) -> list[dict[str, Any]]:
    """Every page of history, newest first."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = system.request("GET", f"/v1/events?limit=100{cursor}").json()
        found += page["items"]
        if page["next_cursor"] is None:
            assert page["complete_from"] == 1
            return found
        cursor = f"&cursor={page['next_cursor']}"


def caught_up(system: System) -> bool:
    stores = {item["name"]: item for item in system.request("GET", "/v1/stores").json()["items"]}
    return all(stores[name]["verdict"] == "ok" and stores[name]["lag"] == 0 for name in ("statistics", "event log"))


def test_history_is_whole_though_the_job_store_dropped_it(system: System) -> None:
    ids = run_some(system, 30)
    wait_until(lambda: system.request("GET", "/v1/stats").json()["dropped"] >= 29, 60)
    assert system.request("GET", f"/v1/jobs/{ids[0]}").status == 404
    wait_until(lambda: caught_up(system), 60)
    events = all_events(system)
    assert [int(event["position"]) for event in events] == list(range(int(events[0]["position"]), 0, -1))
    timeline = system.request("GET", f"/v1/jobs/{ids[0]}/events").json()["items"]
    assert [event["type"].split(".")[-2] for event in timeline] == ["accepted", "queued", "started", "succeeded"]
    said = subprocess.run([sys.executable, "-m", "console", "--url", system.url, "doctor", "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = {item["what"]: item for item in json.loads(said.stdout)["items"]}
    assert found["statistics"]["found"].startswith("Redis 7")
    assert found["event log"]["found"].startswith(("MongoDB", "FerretDB"))


def test_statistics_that_are_flushed_are_rebuilt_and_equal(system: System, servers: Servers) -> None:
    """Also of jobs that were dropped (the newest job always stays): from the checkpoint and the log."""
    run_some(system, 20)
    wait_until(lambda: system.request("GET", "/v1/stats").json()["dropped"] >= 19, 60)
    run_some(system, 5)
    source = system.request("GET", "/v1/events?limit=1").json()["items"][0]["source"]

    async def of_redis(flush: bool = False) -> int:
        """Where the statistics stand."""
        stats = RedisStatsStore(servers.url("redis"), source)
        try:
            if flush:
                await stats._redis.flushall()
            return await stats.cursor()
        finally:
            await stats.close()

    wait_until(lambda: caught_up(system), 60)
    before = asyncio.run(of_redis())
    assert asyncio.run(of_redis(flush=True)) == 0
    wait_until(lambda: asyncio.run(of_redis()) >= before, 60)  # nobody submits: the scheduler sees it
    assert "statistics were rebuilt from the checkpoint" in system.said()
    assert system.request("POST", "/v1/audit", {}).status == 202
    report = wait_until(lambda: now if (now := system.request("GET", "/v1/audit").json())["status"] != "running" else None, 60)
    assert (report["status"], report["differences"]) == ("finished", 0), report


def test_jobs_do_not_wait_for_a_redis_that_hangs(system: System, servers: Servers) -> None:
    run_some(system, 3)
    redis = servers.running("redis")
    assert redis is not None
    redis.send(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        run_some(system, 10)
        answer = system.request("GET", "/v1/stats")
        assert answer.status == 503
        assert "Redis at" in answer.json()["detail"]
        assert system.request("GET", "/v1/alerts").status == 200
        assert system.request("GET", "/health/readiness").status == 200
        assert time.monotonic() - begun < 60
    finally:
        redis.send(signal.SIGCONT)
    wait_until(lambda: caught_up(system), 60)
    assert system.request("GET", "/v1/stats").json()["accepted"] == 13
    assert system.request("GET", "/v1/dead-letters").json()["items"] == []


def test_an_event_log_that_is_killed_gets_every_event_when_it_is_back(system: System, servers: Servers) -> None:
    run_some(system, 5)
    mongo = servers.running("mongo")
    assert mongo is not None
    mongo.send(signal.SIGKILL)
    mongo.stop()
    ids = run_some(system, 40)
    condition = next(item for item in system.request("GET", "/v1/stores").json()["items"] if item["name"] == "event log")
    assert (condition["verdict"], bool(condition["mend"])) == ("fail", True)
    assert system.request("GET", "/v1/stats").json()["accepted"] == 45
    assert "reader.away" in system.said()
    servers.start(["mongo"])
    wait_until(lambda: caught_up(system), 90)

    async def kept() -> list[str]:
        log = MongoEventLog(system.mongo, system.request("GET", "/v1/events?limit=1").json()["items"][0]["source"])  # type: ignore[attr-defined]
        try:
            return [event.document["sequence"] for event in await log.of_subject(f"job/{ids[-1]}", 10)]
        finally:
            await log.close()

    assert asyncio.run(kept()) == ["4", "3", "2", "1"]
    events = all_events(system)
    assert [int(event["position"]) for event in events] == list(range(int(events[0]["position"]), 0, -1))
    assert system.request("GET", "/v1/dead-letters").json()["items"] == []
