"""The system as processes over real servers, and each of its servers and links hurt while jobs flow: afterwards every invariant holds."""

import contextlib
import os
import random
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import redis

from functions.runtime.servers.servers import Servers
from tests.support.ledger import Item, Ledger
from tests.support.processes import descendants
from tests.support.processes_system import Deployment, pause
from tests.support.servers import WITHOUT, own_servers
from tests.support.waiting import wait_until

pytestmark = pytest.mark.servers
NAMES = tuple(name for name in ("postgres", "redis", "rabbitmq", "mongo") if name not in WITHOUT)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with own_servers(*NAMES) as started:
        yield started


@pytest.fixture(scope="module")
def deployment(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("deployment"), servers, NAMES, OBSERVATORY_PROCESSORS="2")
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
        wait_until(lambda: deployment.count("WHERE status = 'succeeded'") >= before + 30, 60)
        deployment.servers.start(["rabbitmq"])


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


@pytest.mark.skipif("mongo" in WITHOUT, reason="no MongoDB server here, as OBSERVATORY_TEST_WITHOUT says")
def test_the_event_log_is_away_for_half_a_minute(deployment: Deployment) -> None:
    with deployment.load(calm=0.2):
        deployment.wait_for_jobs(20)
        kill(deployment.servers, "mongo")
        pause(30.0)
        deployment.servers.start(["mongo"])
        deployment.wait_for_jobs(20)
    wait_until(lambda: _caught_up(deployment, "event log"), 60)


def _caught_up(deployment: Deployment, name: str) -> bool:
    stores = {item["name"]: item for item in deployment.system.request("GET", "/v1/stores").json()["items"]}
    return bool(stores[name]["verdict"] == "ok" and stores[name]["lag"] == 0)


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
