"""The system as processes over real servers, and each of its servers and links hurt while jobs flow: afterwards every invariant holds."""

import contextlib
import json
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import redis

from functions.runtime.servers.servers import Servers
from tests.console.test_command_line import console
from tests.support.ledger import Item, Ledger
from tests.support.processes import descendants
from tests.support.processes_system import Deployment, pause
from tests.support.servers import WITHOUT, needs, own_servers
from tests.support.system import System
from tests.support.waiting import wait_until

pytestmark = pytest.mark.servers
NAMES = tuple(name for name in ("postgres", "redis", "rabbitmq", "mongo") if name not in WITHOUT)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with own_servers(*NAMES) as started:
        yield started


@pytest.fixture(scope="module")
def deployment(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("deployment"), servers, NAMES, OBSERVATORY_PROCESSORS="2", OBSERVATORY_QUIET="0")
    with made.running():
        yield made


def kill(servers: Servers, name: str, number: int = signal.SIGKILL) -> None:
    process = servers.running(name)
    assert process is not None
    assert process.stop(number), f"{name} did not end by signal {number}"


def test_rabbitmq_is_killed_while_a_thousand_jobs_flow(deployment: Deployment) -> None:
    with deployment.load(calm=0.01):
        deployment.wait_for_jobs(300)
        kill(deployment.servers, "rabbitmq")
        deployment.servers.start(["rabbitmq"])
        deployment.wait_for_jobs(700)


def test_rabbitmq_is_wiped_of_all_data_while_jobs_wait(deployment: Deployment) -> None:
    """The broker is only a doorbell: the scheduler rings again."""
    with deployment.load():
        deployment.wait_for_jobs(100)
        kill(deployment.servers, "rabbitmq")
        shutil.rmtree(deployment.servers.folder("rabbitmq") / "data")
        deployment.wait_for_jobs(50)
        deployment.servers.start(["rabbitmq"])
        deployment.wait_for_jobs(50)


def test_jobs_go_on_while_rabbitmq_is_away(deployment: Deployment) -> None:
    """Slower: each processor looks for work at its own tick."""
    with deployment.load():
        kill(deployment.servers, "rabbitmq")
        before = deployment.count("WHERE status = 'succeeded'")
        wait_until(lambda: deployment.count("WHERE status = 'succeeded'") >= before + 30, 240)
        deployment.servers.start(["rabbitmq"])


def test_rabbitmq_that_is_away_is_named_with_what_waits_for_it_and_how_to_mend_it(deployment: Deployment) -> None:
    wait_until(lambda: _caught_up(deployment, "broker"), 240)
    assert store_of(deployment, "broker")["kind"].startswith("RabbitMQ 3.")
    kill(deployment.servers, "rabbitmq")
    try:
        away = wait_until(lambda: found if (found := store_of(deployment, "broker"))["verdict"] == "fail" else None)
        assert away["found"].startswith("is away: ") and "OBSERVATORY_RABBITMQ_URL" in away["mend"]
        with contextlib.closing(Ledger(deployment.path / "client.ledger")) as ledger:
            answer = deployment.submit(ledger, deployment.system, Item({"type": "test.note", "payload": {"nonce": "unrung"}}, "key:unrung"))
        assert deployment.system.ended(answer.json()["id"])["status"] == "succeeded"  # found at the processor's own tick
        wait_until(lambda: store_of(deployment, "broker")["lag"] >= 4)
        said = console(deployment.system, "doctor", "--json")
        (line,) = [item for item in json.loads(said.stdout)["items"] if item["what"] == "broker"]
        assert (line["verdict"], line["mend"]) == ("fail", away["mend"]) and said.returncode == 1
        assert "RabbitMQ at 127.0.0.1:" in line["found"] and "events behind" in line["found"]
        assert 'observatory_store_up{store="broker"} 0.0' in deployment.system.request("GET", "/metrics").body.decode()
    finally:
        deployment.servers.start(["rabbitmq"])
    wait_until(lambda: _caught_up(deployment, "broker"), 240)


def test_postgresql_is_killed_without_a_word(deployment: Deployment) -> None:
    with deployment.load():
        for _ in range(2):
            deployment.wait_for_jobs(60)
            kill(deployment.servers, "postgres", signal.SIGQUIT)  # pg_ctl stop -m immediate
            answer = deployment.system.request("POST", "/v1/jobs", {"type": "test.note", "payload": {"nonce": "refused"}})
            assert answer.status == 503 and answer.headers["retry-after"]
            deployment.servers.start(["postgres"])
        deployment.wait_for_jobs(60)


def test_postgresql_hangs(deployment: Deployment) -> None:
    server = deployment.servers.running("postgres")
    assert server is not None
    with deployment.load():
        deployment.wait_for_jobs(60)
        stopped = [server.pid, *(each.pid for each in descendants(server.pid))]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        pause(6.0)
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        deployment.wait_for_jobs(60)


def test_connections_to_postgresql_are_cut_again_and_again(deployment: Deployment) -> None:
    with deployment.load(), psycopg.connect(deployment.servers.url("postgres"), autocommit=True) as connection:
        for _ in range(12):
            deployment.wait_for_jobs(15)
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")


def test_redis_is_flushed_and_killed(deployment: Deployment) -> None:
    with deployment.load():
        deployment.wait_for_jobs(60)
        with redis.Redis.from_url(deployment.servers.url("redis")) as connection:
            connection.flushall()
        deployment.wait_for_jobs(30)
        kill(deployment.servers, "redis")
        deployment.wait_for_jobs(60)
        deployment.servers.start(["redis"])
        deployment.wait_for_jobs(30)


def test_the_event_log_is_away_for_half_a_minute(deployment: Deployment) -> None:
    needs("mongo")
    with deployment.load(calm=0.2):
        deployment.wait_for_jobs(20)
        kill(deployment.servers, "mongo")
        pause(30.0)
        deployment.servers.start(["mongo"])
        deployment.wait_for_jobs(20)
    wait_until(lambda: _caught_up(deployment, "event log"), 240)


def _caught_up(deployment: Deployment, name: str) -> bool:
    store = store_of(deployment, name)
    return bool(store["verdict"] == "ok" and store["lag"] == 0)


def store_of(deployment: Deployment, name: str) -> dict[str, Any]:
    items: list[dict[str, Any]] = deployment.system.request("GET", "/v1/stores").json()["items"]
    return next(item for item in items if item["name"] == name)


@pytest.mark.parametrize("name", NAMES)
def test_a_link_is_slow_hangs_and_is_cut(deployment: Deployment, name: str) -> None:
    proxy = deployment.proxies[name]
    with deployment.load():
        deployment.wait_for_jobs(30)
        proxy.slow(0.05)
        deployment.wait_for_jobs(10)
        proxy.heal()
        proxy.cut_once()
        deployment.wait_for_jobs(20)
        proxy.hold()
        pause(4.0)
        proxy.heal()
        proxy.cut()
        pause(2.0)
        proxy.heal()
        deployment.wait_for_jobs(30)


def test_processes_are_killed_one_after_the_other_and_start_again(deployment: Deployment) -> None:
    dice = random.Random(8)
    with deployment.load():
        for role in ("processor", "front", "scheduler", "metrics-engine", "dead-letter", "processor"):
            deployment.wait_for_jobs(20)
            victim = dice.choice(deployment.system.processes(role))
            victim.signal(signal.SIGKILL)
            wait_until(lambda victim=victim: not victim.is_alive)
        deployment.wait_for_jobs(40)
    wait_until(lambda: len(deployment.system.processes()) == 6)


def test_two_systems_on_the_same_servers_take_fifty_equal_submissions_at_once(deployment: Deployment) -> None:
    with deployment.another("second") as second, contextlib.closing(Ledger(deployment.path / "client.ledger")) as ledger:
        same = Item({"type": "test.note", "payload": {"nonce": "fifty"}}, "key:fifty")
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda system: deployment.submit(ledger, system, same), [deployment.system, second] * 25))
        assert sorted(answer.status for answer in answers) == [200] * 49 + [202]
        assert len({answer.json()["id"] for answer in answers}) == 1
        other = Item({"type": "test.note", "payload": {"nonce": "another"}}, "key:fifty")
        assert {deployment.submit(ledger, system, other).status for system in (deployment.system, second)} == {409}
        with deployment.load():
            deployment.wait_for_jobs(60)
        assert second.stop() == 0


def test_each_job_is_told_in_one_line_by_whoever_ended_it(deployment: Deployment) -> None:
    """By one process of all, on however many machines."""
    with deployment.another("third") as third, contextlib.closing(Ledger(deployment.path / "client.ledger")) as ledger:
        systems = (deployment.system, third)
        wanted = [Item({"type": "test.note", "payload": {"nonce": f"told-{number}"}}, f"key:told-{number}") for number in range(40)]
        jobs = [deployment.submit(ledger, systems[number % 2], item).json()["id"] for number, item in enumerate(wanted)]
        later = Item({"type": "test.note", "payload": {"nonce": "told-later"}, "delay_seconds": 600}, "key:told-later")
        jobs.append(deployment.submit(ledger, third, later).json()["id"])
        assert third.request("POST", f"/v1/jobs/{jobs[-1]}/cancel", {"reason": "enough"}).status in (200, 202)
        for job in jobs:
            third.ended(job)
        wait_until(lambda: set(jobs) <= set(told(systems)))
        assert third.stop() == 0
    lines = Counter(told(systems))
    assert {lines[job] for job in jobs} == {1}


def told(systems: Sequence[System]) -> list[str]:
    """The jobs that lines of ended attempts are about."""
    lines = [line for system in systems for line in system.said().splitlines() if '"action": "job.ended"' in line]
    return [json.loads(line)["job_id"] for line in lines]
