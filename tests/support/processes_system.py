"""The system as several processes over servers, as `make run PROFILE=servers` starts it, and a whole deployment for fault tests."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pika
import psycopg

from eventing.brokers.rabbitmq.topology import Topology
from eventing.triggers import Trigger
from functions.runtime.servers.servers import Servers
from tests.support.checker import check
from tests.support.ledger import Item, Ledger
from tests.support.load import Load
from tests.support.processes import Process, descendants
from tests.support.system import START_SECONDS, Answer, System
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

SETTINGS = {
    "OBSERVATORY_TASKS": "tests.support.tasks", "OBSERVATORY_WORKERS": "3", "OBSERVATORY_LEASE_SECONDS": "1.5",
    "OBSERVATORY_RENEW_SECONDS": "0.3", "OBSERVATORY_TICK_SECONDS": "1", "OBSERVATORY_DRAIN_SECONDS": "10",
}  # fmt: skip
QUIET_SECONDS = 240.0
_QUIET = """
    SELECT (SELECT count(*) FROM observatory.jobs WHERE status NOT IN ('succeeded', 'failed', 'cancelled')) = 0
       AND (SELECT count(*) FROM observatory.unplaced) = 0
       AND (SELECT count(*) FROM observatory.cursors AS c, observatory.head AS h
            WHERE c.name IN ('relay', 'statistics') AND c.position = h.position) = 2
       AND (SELECT count(*) FROM observatory.dead_letters WHERE status = 'kept') = 0"""


class ProcessesSystem(System):
    """One supervisor with its processes."""

    module = "functions.runtime.processes"

    def wait_until_ready(self) -> None:
        """Returns when every process is ready."""
        super().wait_until_ready()
        wait_until(lambda: '"action": "system.started"' in self.said(), START_SECONDS)

    def processes(self, role: str = "") -> list[Process]:
        """The living processes of a role (all without), workers not counted."""
        assert self.process is not None
        mine = [each for each in descendants(self.process.pid) if each.parent == self.process.pid]
        return [each for each in mine if b"processes.member" in (words := _command(each.pid)) and (not role or role.encode() in words)]


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


class Deployment:
    """Servers, a proxy in front of each, and a system over them; loads one after the other, and the checker after each."""

    def __init__(self, path: Path, servers: Servers, names: tuple[str, ...], **settings: str) -> None:
        self.path, self.servers, self.names = path, servers, names
        self.proxies = {name: TcpProxy("127.0.0.1", servers.place.port(name)) for name in names}
        self._settings = settings
        self._loads = 0

    @contextlib.contextmanager
    def running(self) -> Iterator["Deployment"]:
        with contextlib.ExitStack() as stack:
            for proxy in self.proxies.values():
                stack.enter_context(proxy)
            self.system = stack.enter_context(self.another("data"))
            yield self

    def another(self, name: str, **settings: str) -> ProcessesSystem:
        """A system over the same servers, as on another machine; not started."""
        urls = {f"OBSERVATORY_{name.upper()}_URL": self.url(name) for name in self.names}
        handlers = {"OBSERVATORY_TEST_LEDGER": str(self.path / "handlers.ledger")}
        return ProcessesSystem(self.path / name, **(SETTINGS | urls | handlers | self._settings | settings))

    def url(self, name: str) -> str:
        """Through its proxy."""
        return self.servers.url(name).replace(f":{self.servers.place.port(name)}", f":{self.proxies[name].port}")

    @contextlib.contextmanager
    def load(self, *, calm: float = 0.03, clients: int = 3) -> Iterator[Load]:
        """A load that has begun; at the end everything comes to its end, and nothing was lost, doubled or left."""
        self._loads += 1
        load = Load(lambda: self.system.url, self.path / "client.ledger", f"{self.path.name}-{self._loads}", clients=clients, calm=calm)
        load.go()
        try:
            yield load
            load.settle()
        finally:
            with contextlib.suppress(AssertionError):
                load.settle(0)
        self.check(load.complaints)

    def check(self, complaints: list[str]) -> None:
        with contextlib.suppress(AssertionError):  # the checker says what is left
            wait_until(self.is_quiet, QUIET_SECONDS)
        found = check(
            self.servers.url("postgres"), redis=self.servers.url("redis"), ledger=self.path / "client.ledger",
            handlers=self.path / "handlers.ledger", quiescent=True,
        )  # fmt: skip
        assert not complaints and not found, "\n".join([*complaints, *found[:40], self.system.said()[-3000:]])
        assert "Traceback" not in self.system.said()

    def is_quiet(self) -> bool:
        """By SQL from outside: every job has ended, every reader stands at the head, no dead letter is open."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(self.servers.url("postgres"), connect_timeout=5) as connection:
            ((quiet,),) = connection.execute(_QUIET).fetchall()
            return bool(quiet)
        return False

    def count(self, where: str = "") -> int:
        """How many jobs there are, as SQL sees it; 0 while it cannot see."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(self.servers.url("postgres"), connect_timeout=5) as connection:
            ((jobs,),) = connection.execute(f"SELECT count(*) FROM observatory.jobs {where}".encode()).fetchall()
            return int(jobs)
        return 0

    def wait_for_jobs(self, more: int, seconds: float = 240.0) -> None:
        """Returns when so many more jobs were accepted."""
        wanted = self.count() + more
        wait_until(lambda: self.count() >= wanted, seconds)

    def submit(self, ledger: Ledger, system: System, item: Item) -> Answer:
        """One submission while there is no load, written down as those are."""
        number = ledger.ask("single", [item])
        answer = system.request("POST", "/v1/jobs", item.request, {"idempotency-key": str(item.key).removeprefix("key:")})
        ledger.answer(number, answer.status, [(answer.status, answer.json()["id"] if answer.status < 300 else None)])
        return answer


def delete_queues(url: str, triggers: Sequence[Trigger]) -> None:
    """As in a RabbitMQ that knows none of our queues."""
    topology = Topology(triggers)
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for trigger in topology.triggers:
        channel.queue_delete(topology.queue(trigger))
        channel.queue_delete(topology.dead_queue(trigger))
    connection.close()


def pause(seconds: float) -> None:
    """How long a fault lasts: time itself is what is tested."""
    time.sleep(seconds)
