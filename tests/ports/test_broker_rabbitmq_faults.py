"""RabbitMQ killed, restarted, wiped and short of memory while events flow: nothing that was confirmed, or will be, is lost."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts.errors import BrokerUnavailable
from contracts.event import Event
from eventing.brokers.rabbitmq import RabbitBroker
from eventing.brokers.rabbitmq.watch import RabbitWatch
from functions.runtime.servers.rabbitmq import NODE, RabbitmqServer
from functions.runtime.servers.servers import Servers
from tests.ports.broker_suite import Recorder, event, trigger, until
from tests.support.servers import own_servers

pytestmark = pytest.mark.servers
TRIGGERS = [trigger("all"), trigger("io", queue="io")]
EVENTS = 4_000


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with own_servers("rabbitmq") as started:
        yield started


class Running:
    """A broker, its recorders, and a relay's loop that publishes until all is confirmed."""

    def __init__(self, servers: Servers) -> None:
        self.worker, self.letters = Recorder(), Recorder()
        self.broker = RabbitBroker(servers.url("rabbitmq"), TRIGGERS, {"worker": self.worker, "dead-letter": self.letters})
        self.sent: list[Event] = []

    async def publish(self, first: int, last: int, pause: float = 0.0) -> None:
        async with asyncio.timeout(240):
            await self._publish(first, last, pause)

    async def _publish(self, first: int, last: int, pause: float) -> None:
        for start in range(first, last + 1, 50):
            events = [event(n, queue="io" if n % 2 else "bulk") for n in range(start, start + 50)]
            while True:
                try:
                    await self.broker.publish(events)
                    break
                except BrokerUnavailable:
                    await asyncio.sleep(0.05)
            self.sent += events
            await asyncio.sleep(pause)

    async def until_everything_arrived(self) -> None:
        wanted = {each.id for each in self.sent}
        odd = {each.id for each in self.sent if each.attribute("queue") == "io"}
        await until(lambda: self.broker.confirmed == self.sent[-1].position, 240)
        await until(lambda: wanted <= set(self.worker.ids("all")) and odd <= set(self.worker.ids("io")), 240)
        assert self.letters.got == []


@pytest.fixture
async def running(servers: Servers) -> AsyncIterator[Running]:
    made = Running(servers)
    await made.broker.start()
    yield made
    await made.broker.stop(grace_seconds=0.1)


def kill(servers: Servers) -> None:
    process = servers.running("rabbitmq")
    assert process is not None
    process.stop(signal.SIGKILL)


async def test_killed_and_started_again_in_the_middle_of_publishing_and_consuming_nothing_is_lost(servers: Servers, running: Running) -> None:
    publishing = asyncio.create_task(running.publish(1, EVENTS, pause=0.005))
    await until(lambda: len(running.worker.got) > 500)
    await asyncio.to_thread(kill, servers)
    await asyncio.to_thread(servers.start, ["rabbitmq"])
    await publishing
    await running.until_everything_arrived()


async def test_stopped_in_order_and_started_again_nothing_is_lost(servers: Servers, running: Running) -> None:
    publishing = asyncio.create_task(running.publish(1, EVENTS, pause=0.005))
    await until(lambda: len(running.worker.got) > 500)
    await asyncio.to_thread(servers.stop, ["rabbitmq"])
    await asyncio.to_thread(servers.start, ["rabbitmq"])
    await publishing
    await running.until_everything_arrived()


async def test_wiped_of_all_data_it_is_set_up_again_and_what_was_not_confirmed_arrives(servers: Servers, running: Running) -> None:
    await running.publish(1, 100)
    await running.until_everything_arrived()
    publishing = asyncio.create_task(running.publish(101, 2_000, pause=0.005))
    await until(lambda: len(running.worker.ids("all")) > 300)
    await asyncio.to_thread(kill, servers)
    confirmed = running.broker.confirmed
    shutil.rmtree(servers.folder("rabbitmq") / "data")
    await asyncio.to_thread(servers.start, ["rabbitmq"])
    await publishing
    running.sent = [each for each in running.sent if each.position > confirmed]  # what it had confirmed it may have lost
    await running.until_everything_arrived()


async def test_killed_right_after_its_queues_were_made_it_may_lose_one_which_is_made_anew(servers: Servers, monkeypatch) -> None:
    """Seen with 3.10: the queue made last has no leader afterwards, and answers nothing but its deletion."""
    monkeypatch.setattr("eventing.brokers.rabbitmq.connection.ANSWER_SECONDS", 8.0)
    worker = Recorder()
    broker = RabbitBroker(servers.url("rabbitmq"), [trigger("young", sink=False)], {"worker": worker})
    await broker.start()
    await asyncio.to_thread(kill, servers)
    await asyncio.to_thread(servers.start, ["rabbitmq"])
    await until(lambda: broker.room > 0, 240)
    await broker.publish([event(1)])
    await until(lambda: worker.ids() == ["e-1"] and broker.confirmed == 1, 240)
    await broker.stop(grace_seconds=0.1)


async def test_short_of_memory_it_takes_nothing_more_and_goes_on_afterwards(servers: Servers, running: Running) -> None:
    await running.publish(1, 100)
    await running.until_everything_arrived()
    await asyncio.to_thread(control, servers, "set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        with pytest.raises(BrokerUnavailable, match="short of memory"):
            for n in range(101, 1_000_000):  # it says so with the first that it gets
                await running.broker.publish([event(n)])
                running.sent.append(event(n))
                await asyncio.sleep(0.01)
        assert running.broker.room == 0 and running.broker.is_ready
    finally:
        await asyncio.to_thread(control, servers, "set_vm_memory_high_watermark", "0.4")
    await until(lambda: running.broker.room > 0)
    await running.publish(1_000_001, 1_000_050)
    await running.until_everything_arrived()


async def test_whoever_asks_hears_whether_it_answers_and_why_not(servers: Servers) -> None:
    watch = RabbitWatch(servers.url("rabbitmq"))
    refused = RabbitWatch(servers.url("rabbitmq").replace(servers.place.password("rabbitmq"), "wrong"))
    try:
        assert await watch.program() == f"RabbitMQ {version()}"
        with pytest.raises(BrokerUnavailable, match=r"^is away: it refuses user and password$"):
            await refused.program()
        await asyncio.to_thread(kill, servers)
        with pytest.raises(BrokerUnavailable, match=r"^is away: ") as away:
            for _ in range(100):  # as soon as its end is known
                await watch.program()
                await asyncio.sleep(0.05)
        assert servers.place.password("rabbitmq") not in str(away.value)
        await asyncio.to_thread(servers.start, ["rabbitmq"])
        await until(lambda: watch._link.is_ready, 60)
        assert await watch.program()
    finally:
        await watch.close()
        await refused.close()


async def test_while_it_hangs_it_is_away_and_nobody_waits_long_to_hear_so(servers: Servers) -> None:
    process, watch = servers.running("rabbitmq"), RabbitWatch(servers.url("rabbitmq"))
    assert process is not None
    try:
        await watch.program()
        os.kill(process.pid, signal.SIGSTOP)
        begun = asyncio.get_running_loop().time()
        with pytest.raises(BrokerUnavailable, match="no answer within 2 s"):
            await watch.program()
        assert asyncio.get_running_loop().time() - begun < 15
    finally:
        os.kill(process.pid, signal.SIGCONT)
        await watch.close()


def version() -> str:
    server = RabbitmqServer()
    return server.version(str(server.find()))


def control(servers: Servers, *words: str) -> None:
    """Asks rabbitmqctl, with the names and the cookie of our server."""
    place = servers.place
    environment = place.environment | {
        "HOME": str(servers.folder("rabbitmq")),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "ERL_EPMD_PORT": str(place.port("rabbitmq", "names_port")),
    }
    program = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
    command = [str(program if program.exists() else program.name), "-n", NODE, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
