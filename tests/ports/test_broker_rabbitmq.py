"""The broker over RabbitMQ: the behaviour of every broker, and what is its own."""

import asyncio
import itertools
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest

from contracts.errors import BrokerUnavailable, ConfigurationError, ObservatoryError, StoreUnavailable
from contracts.event import Event
from eventing.broker import Subscriber
from eventing.brokers.rabbitmq import RabbitBroker
from eventing.brokers.rabbitmq.topology import Topology
from eventing.triggers import Delivery, Destination, Trigger, load_triggers
from tests.ports.broker_suite import DONE, QUEUED, BrokerSuite, Recorder, Start, event, settled, trigger, until
from tests.support.servers import server_url
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.servers
_numbers = itertools.count()
StartOne = Callable[..., Any]


@pytest.fixture(scope="module")
def rabbitmq() -> str:
    return server_url("rabbitmq")


@pytest.fixture
async def run(rabbitmq: str) -> AsyncIterator[StartOne]:
    """Starts brokers that share exchanges and queues; stops them and deletes those at the end."""
    started: list[RabbitBroker] = []
    prefix = f"test-{os.getpid()}-{next(_numbers)}"

    async def start(triggers: Sequence[Trigger], subscribers: Mapping[str, Subscriber], url: str = rabbitmq, **options: Any) -> RabbitBroker:
        broker = RabbitBroker(url, triggers, subscribers, prefix=prefix, **options)
        started.append(broker)
        await broker.start()
        return broker

    start.prefix = prefix  # type: ignore[attr-defined]
    yield start
    for broker in started:
        await broker.stop(grace_seconds=0.1)
    await asyncio.to_thread(_delete, rabbitmq, [broker._topology for broker in started])


def _delete(url: str, topologies: Sequence[Topology]) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for topology in topologies:
        for each in topology.triggers:
            for queue in (topology.queue(each), topology.dead_queue(each)):
                channel.queue_delete(queue)
        for exchange in (topology.exchange, topology.dead_exchange):
            channel.exchange_delete(exchange)
    connection.close()


class TestRabbitBroker(BrokerSuite):
    @pytest.fixture
    def start(self, run: StartOne) -> Start:
        return run


# ---- queues, and who reads them -------------------------------------------------------------------------------------


async def test_our_trigger_files_are_a_topology_that_rabbitmq_takes(run: StartOne) -> None:
    worker, triggers = Recorder(), load_triggers()
    broker = await run(triggers, {str(each.subscriber.service): worker for each in triggers} | {"dead-letter": Recorder()})
    sent = [event(1, QUEUED, queue="io"), event(2, "dev.observatory.job.started.v1", queue="io")]
    await broker.publish(sent)
    await settled(broker, triggers, sent)
    assert {(name, got.id) for name, got in worker.got} == {("metrics-engine", "e-1"), ("metrics-engine", "e-2"), ("processor-io", "e-1")}


async def test_several_processes_share_a_queue_and_each_hears_of_its_work(run: StartOne) -> None:
    first, second = Recorder(), Recorder()
    triggers = [Trigger("all", Destination("worker"), {}, Delivery(dead_letter=Destination("dead-letter")), parallelism=10)]
    broker = await run(triggers, {"worker": first})
    await run(triggers, {"worker": second})
    await broker.publish([event(n) for n in range(1, 101)])
    await until(lambda: len(first.got) + len(second.got) == 100)
    assert sorted(first.ids() + second.ids()) == sorted(f"e-{n}" for n in range(1, 101))
    assert first.got and second.got


async def test_what_a_process_that_dies_held_goes_to_the_others(run: StartOne, rabbitmq: str) -> None:
    parts = urlsplit(rabbitmq)
    begun, worker, triggers = asyncio.Event(), Recorder(), [trigger("all")]

    async def hangs(_: str, events: Sequence[Event]) -> list[int]:
        begun.set()
        await asyncio.Event().wait()
        return []

    with TcpProxy(str(parts.hostname), parts.port or 5672) as proxy:
        broker = await run(triggers, {"worker": hangs}, url=_through(rabbitmq, proxy))
        await broker.publish([event(n) for n in range(1, 11)])
        await begun.wait()
        await run(triggers, {"worker": worker})
        proxy.cut()
        await until(lambda: set(worker.ids()) == {f"e-{n}" for n in range(1, 11)})


async def test_a_changed_filter_holds_at_once_and_an_older_process_keeps_its_own(run: StartOne) -> None:
    worker = Recorder()
    before = await run([trigger("mine", type=QUEUED)], {"worker": worker, "dead-letter": worker})
    after = await run([trigger("mine", type=DONE)], {"worker": worker, "dead-letter": worker})
    await after.publish([event(1, QUEUED), event(2, DONE)])
    await before.publish([event(3, QUEUED), event(4, DONE)])
    await until(lambda: sorted(worker.ids()) == ["e-2", "e-3"] and after.confirmed == 2 and before.confirmed == 4)


async def test_a_queue_that_somebody_deletes_is_made_again(run: StartOne, rabbitmq: str) -> None:
    worker, triggers = Recorder(), [trigger("all")]
    broker = await run(triggers, {"worker": worker, "dead-letter": Recorder()})
    await asyncio.to_thread(_delete_queue, rabbitmq, broker._topology.queue(triggers[0]))
    await until(lambda: not broker.is_ready)
    await until(lambda: broker.is_ready)
    await broker.publish([event(1)])
    await until(lambda: worker.ids() == ["e-1"])


def _delete_queue(url: str, queue: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    connection.channel().queue_delete(queue)
    connection.close()


# ---- what is wrong with messages ----------------------------------------------------------------------------------


async def test_a_message_that_is_no_event_is_kept_as_it_came_even_if_that_takes_a_while(run: StartOne, rabbitmq: str, monkeypatch) -> None:
    monkeypatch.setattr("eventing.brokers.rabbitmq.consuming.REFUSE_PAUSE_SECONDS", 0.1)
    kept: list[tuple[str, str, dict[str, str], bytes]] = []
    away = [StoreUnavailable()]

    async def refuse(name: str, error: ObservatoryError, headers: dict[str, str], body: bytes) -> None:
        if away:
            raise away.pop()
        kept.append((name, error.slug, headers, body))

    worker, triggers = Recorder(), [trigger("all")]
    broker = await run(triggers, {"worker": worker, "dead-letter": Recorder()}, refuse=refuse)
    await asyncio.to_thread(_put, rabbitmq, broker._topology.exchange, b"\x00 no event", "text/plain")
    await broker.publish([event(1)])
    await until(lambda: worker.ids() == ["e-1"])
    await until(lambda: kept)
    assert kept == [("all", "unsupported-media-type", {"content-type": "text/plain"}, b"\x00 no event")]


def _put(url: str, exchange: str, body: bytes, content_type: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish(exchange, "", body, pika.BasicProperties(content_type=content_type, delivery_mode=2), mandatory=True)
    connection.close()


async def test_an_event_whose_readers_die_again_and_again_ends_as_a_dead_letter_that_says_so(run: StartOne, rabbitmq: str) -> None:
    triggers, letters = [trigger("all")], Recorder()
    broker = await run(triggers, {})
    await broker.publish([event(1)])
    await until(lambda: broker.confirmed == 1)
    taken = await asyncio.to_thread(_give_back, rabbitmq, broker._topology.queue(triggers[0]))
    assert taken == 21  # the first delivery, and as many as the limit
    await run(triggers, {"dead-letter": letters})
    await until(lambda: letters.got)
    [(name, letter)] = letters.got
    assert (name, letter.id, letter.attribute("knativeerrorcode")) == ("all", "e-1", "-1")
    assert letter.attribute("attempts") == "21"


def _give_back(url: str, queue: str) -> int:
    """Takes the message of a queue and returns it unanswered until there is none; how often."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel, times = connection.channel(), 0
    while (found := channel.basic_get(queue))[0] is not None:
        channel.basic_nack(found[0].delivery_tag, requeue=True)
        times += 1
    connection.close()
    return times


# ---- a link that is slow, hangs or breaks ---------------------------------------------------------------------------


def _through(url: str, proxy: TcpProxy, options: str = "") -> str:
    parts = urlsplit(url)
    return url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{proxy.port}") + options


@pytest.fixture
def proxy(rabbitmq: str) -> Any:
    parts = urlsplit(rabbitmq)
    with TcpProxy(str(parts.hostname), parts.port or 5672) as proxy:
        yield proxy


async def test_connections_that_break_in_the_middle_lose_nothing(run: StartOne, rabbitmq: str, proxy: TcpProxy) -> None:
    worker, letters, triggers = Recorder({f"e-{n}": [503] for n in range(1, 2000, 7)}), Recorder(), [trigger("all"), trigger("io", queue="io")]
    broker = await run(triggers, {"worker": worker, "dead-letter": letters}, url=_through(rabbitmq, proxy))
    sent = [event(n, queue="io" if n % 2 else "bulk") for n in range(1, 2001)]
    cuts = 0
    for first in range(0, 2000, 50):
        await _publish(broker, sent[first : first + 50])
        if first % 400 == 0:
            await until(lambda wanted=2 * (cuts + 1): proxy.connections == wanted and broker.is_ready)
            proxy.cut_once()
            cuts += 1
    await until(lambda: broker.confirmed == 2000, 30)
    await until(lambda: set(worker.ids("all")) == {each.id for each in sent}, 30)
    await until(lambda: set(worker.ids("io")) == {each.id for each in sent if each.attribute("queue") == "io"}, 30)
    assert letters.got == [] and cuts == 5


async def _publish(broker: RabbitBroker, events: Sequence[Event]) -> None:
    """As the relay does: again, after a refusal."""
    while True:
        try:
            return await broker.publish(events)
        except BrokerUnavailable:
            await asyncio.sleep(0.02)


async def test_a_server_that_is_away_takes_nothing_and_room_comes_back_with_it(
    run: StartOne, rabbitmq: str, proxy: TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    worker, told, triggers = Recorder(), asyncio.Event(), [trigger("all")]
    caplog.set_level(logging.INFO)
    broker = await run(triggers, {"worker": worker, "dead-letter": Recorder()}, url=_through(rabbitmq, proxy))
    proxy.cut()
    await until(lambda: broker.room == 0)
    with pytest.raises(BrokerUnavailable, match="does not answer"):
        await broker.publish([event(1)])
    broker.on_confirmed(told.set)
    proxy.heal()
    await asyncio.wait_for(told.wait(), 20)
    assert broker.room > 0
    await broker.publish([event(1)])
    await until(lambda: worker.ids() == ["e-1"])
    said = [record.getMessage() for record in caplog.records if record.name == "observatory.rabbitmq"]
    assert any("is away" in line for line in said) and any("answers again" in line for line in said)
    assert "guest" not in "".join(said) and urlsplit(rabbitmq).password not in "".join(said)


async def test_a_server_that_is_away_at_the_start_is_waited_for(run: StartOne, rabbitmq: str, proxy: TcpProxy, monkeypatch) -> None:
    monkeypatch.setattr("eventing.brokers.rabbitmq.broker.START_SECONDS", 0.1)
    worker = Recorder()
    proxy.cut()
    broker = await run([trigger("all")], {"worker": worker, "dead-letter": Recorder()}, url=_through(rabbitmq, proxy))
    assert not broker.is_ready and broker.room == 0
    proxy.heal()
    await until(lambda: broker.is_ready and broker.room, 20)
    await broker.publish([event(1)])
    await until(lambda: worker.ids() == ["e-1"])


async def test_a_link_that_hangs_is_found_out_by_heartbeats_and_replaced(run: StartOne, rabbitmq: str, proxy: TcpProxy) -> None:
    worker = Recorder()
    broker = await run([trigger("all")], {"worker": worker, "dead-letter": Recorder()}, url=_through(rabbitmq, proxy, "?heartbeat=1"))
    proxy.hold()
    await broker.publish([event(n) for n in range(1, 21)])
    await until(lambda: not broker.is_ready, 20)
    assert broker.confirmed == 0
    proxy.heal()
    await until(lambda: broker.confirmed == 20 and set(worker.ids()) == {f"e-{n}" for n in range(1, 21)}, 20)


async def test_a_slow_link_delays_and_loses_nothing(run: StartOne, rabbitmq: str, proxy: TcpProxy) -> None:
    worker = Recorder()
    broker = await run([trigger("all")], {"worker": worker, "dead-letter": Recorder()}, url=_through(rabbitmq, proxy))
    proxy.slow(0.05)
    for first in range(1, 101, 10):
        await broker.publish([event(n) for n in range(first, first + 10)])
    await until(lambda: broker.confirmed == 100 and len(worker.got) == 100)
    assert worker.ids() == [f"e-{n}" for n in range(1, 101)]


# ---- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "localhost:5672", "http://localhost", "amqp:///v", "amqp://h:port/", "amqp://h/?unknown=1", "amqp://h/?heartbeat=x"])
def test_a_url_that_is_none_is_refused_in_words_that_do_not_repeat_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="OBSERVATORY_RABBITMQ_URL") as refused:
        RabbitBroker(url, [], {})
    assert not url or url not in str(refused.value)


def test_retries_that_outlast_rabbitmqs_patience_are_refused_with_the_triggers_name() -> None:
    with pytest.raises(ConfigurationError, match="'slow'"):
        RabbitBroker("amqp://localhost", [Trigger("slow", Destination("s"), {}, Delivery(retry=20, backoff_delay_seconds=1))], {})


async def test_a_wrong_password_is_named_and_nothing_breaks(run: StartOne, rabbitmq: str, monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("eventing.brokers.rabbitmq.broker.START_SECONDS", 0.1)
    parts = urlsplit(rabbitmq)
    await run([], {}, url=f"amqp://{parts.username}:wrong@{parts.hostname}:{parts.port}/")
    await until(lambda: any("refuses user and password" in record.getMessage() for record in caplog.records))
