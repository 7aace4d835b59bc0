"""Consuming: a channel a queue, couriers that deliver, and acknowledgements behind what they have settled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pika
from pika.exceptions import AMQPError

from contracts.errors import ObservatoryError, Refused
from contracts.event import Event
from contracts.log_fields import about
from eventing.broker import Refuse, TriggerStatistics
from eventing.brokers.courier import Courier
from eventing.brokers.rabbitmq.connection import Channel, Connection, NoAnswer
from eventing.brokers.rabbitmq.link import Link
from eventing.brokers.rabbitmq.messages import Received, death, unpack
from eventing.brokers.rabbitmq.settlement import Settlement
from eventing.brokers.rabbitmq.topology import DELIVERY_LIMIT, Topology
from eventing.brokers.sending import Senders
from eventing.outcomes import NO_ANSWER, dead_letter
from eventing.triggers import Destination, Trigger

log = logging.getLogger("observatory.rabbitmq")

PREFETCH = 200
REFUSE_PAUSE_SECONDS = 2.0
LEAVE_SECONDS = 60.0

Bury = Callable[[str, Sequence[Event]], Awaitable[None]]


class Reader:
    """Reads one queue over one channel, for as long as that channel lives."""

    def __init__(self, channel: Channel, trigger: Trigger, courier: Courier, refuse: Refuse, *, dead: bool) -> None:
        self.courier = courier
        self._channel, self._trigger, self._refuse, self._dead = channel, trigger, refuse, dead
        self._settlement = Settlement()
        self._consumer = ""
        self._refusals: set[asyncio.Task[None]] = set()

    async def start(self, queue: str) -> None:
        """Raises AMQPError."""
        raw = self._channel.raw
        self.courier.start(asyncio.get_running_loop())
        raw.add_on_cancel_callback(lambda _: self._channel.fail(f"the queue {queue} was deleted"))
        await self._channel.ask(raw.basic_qos, prefetch_count=PREFETCH)
        consuming = await self._channel.ask(raw.basic_consume, queue, self._on_message)
        self._consumer = consuming.method.consumer_tag

    async def stop(self, grace_seconds: float) -> None:
        """Takes no more messages and lets deliveries under way end; what is not settled then comes again to somebody."""
        if self._channel.raw.is_open:
            self._channel.raw.basic_cancel(self._consumer)
        await self.courier.stop(grace_seconds)
        for task in self._refusals:
            task.cancel()

    def settled(self, events: Sequence[Event]) -> None:
        """From the courier: these are done with."""
        for event in events:
            assert isinstance(event, Received)
            self._settlement.settled(event.tag)
        self._acknowledge()

    def _acknowledge(self) -> None:
        if not self._channel.raw.is_open:
            return  # all that is unacknowledged comes again
        for tag, multiple in self._settlement.take():
            self._channel.raw.basic_ack(tag, multiple)

    def _on_message(self, _: Any, method: Any, properties: Any, body: bytes) -> None:
        tag = method.delivery_tag
        try:
            events = unpack(properties.content_type, body, tag)
        except Refused as error:
            self._settlement.arrived(tag, 1)
            task = asyncio.get_running_loop().create_task(self._put_aside(tag, error, properties, body))
            self._refusals.add(task)
            task.add_done_callback(self._refusals.discard)
            return
        self._settlement.arrived(tag, len(events))
        if self._dead:
            self.courier.collect_dead([self._letter(event, properties.headers) for event in events])
        elif events:
            self.courier.inbox.extend(events)
            self.courier.collect(again=False)
        else:
            self._acknowledge()

    def _letter(self, event: Received, headers: Any) -> Event:
        """A dead letter says why it died; one that RabbitMQ gave up says nothing yet."""
        reason = death(headers)
        if reason is None or event.attribute("knativeerrorcode") is not None:
            return event
        words = f"RabbitMQ gave it up ({reason}): it was delivered {DELIVERY_LIMIT + 1} times, and whoever had it died or gave it back"
        return dead_letter(event, self._trigger, NO_ANSWER, words.encode(), DELIVERY_LIMIT + 1)

    async def _put_aside(self, tag: int, error: ObservatoryError, properties: Any, body: bytes) -> None:
        """What is no event can be delivered to nobody: its bytes are kept, however long that takes."""
        headers = {"content-type": properties.content_type} if properties.content_type else {}
        while True:
            try:
                await self._refuse(self._trigger.name, error, headers, body)
            except Exception as fault:
                log.warning("%s: a message that is no event waits to be kept: %s", self._trigger.name, fault,
                            extra=about("rabbitmq.put_aside", trigger=self._trigger.name))  # fmt: skip
                await asyncio.sleep(REFUSE_PAUSE_SECONDS)
            else:
                self._settlement.settled(tag)
                self._acknowledge()
                return


class Consuming:
    """The delivering half of the broker: a Reader for each queue whose subscriber, or sink, is reached from here."""

    def __init__(
        self, found: pika.URLParameters, topology: Topology, senders: Senders, bury: Bury, refuse: Refuse, *, webhooks: bool
    ) -> None:
        self._topology, self._senders, self._bury, self._refuse, self._webhooks = topology, senders, bury, refuse, webhooks
        self.link = Link(found, self._prepare, self._lost)
        self._statistics = {trigger.name: TriggerStatistics() for trigger in topology.triggers if self._serves(trigger.subscriber)}
        self._readers: list[Reader] = []
        self._beginning: set[asyncio.Task[None]] = set()
        self._leaving: dict[asyncio.Task[None], Reader] = {}  # of connections that are gone

    @property
    def is_needed(self) -> bool:
        """Whether there is a queue to read from here."""
        sinks = (trigger.delivery.dead_letter for trigger in self._topology.triggers)
        return bool(self._statistics) or any(self._serves(sink) for sink in sinks)

    def _serves(self, destination: Destination | None) -> bool:
        if destination is None or (destination.url is not None and not self._webhooks):
            return False
        return self._senders.reaches(destination)

    @property
    def statistics(self) -> dict[str, TriggerStatistics]:
        """By Trigger; `pending` came and is not settled."""
        for name, statistics in self._statistics.items():
            statistics.pending = sum(reader.courier.backlog.pending for reader in self._readers if reader.courier.trigger.name == name)
        return self._statistics

    def start(self) -> None:
        self.link.start()

    async def stop(self, grace_seconds: float) -> None:
        for task in self._beginning:
            task.cancel()
        readers, self._readers = [*self._readers, *self._leaving.values()], []
        await asyncio.gather(*(reader.stop(grace_seconds) for reader in readers))
        await self.link.stop()

    async def _prepare(self, connection: Connection) -> None:
        await self._topology.declare(await connection.channel())
        for trigger in self._topology.triggers:
            if self._serves(trigger.subscriber):
                try:
                    await self._read(connection, trigger)
                except NoAnswer:
                    await self._make_anew(connection, self._topology.queue(trigger))
                    raise
        for trigger in self._topology.triggers:
            if self._serves(trigger.delivery.dead_letter):
                task = asyncio.get_running_loop().create_task(self._try_to_read_dead(connection, trigger))
                self._beginning.add(task)
                task.add_done_callback(self._beginning.discard)

    async def _make_anew(self, connection: Connection, queue: str) -> None:
        """RabbitMQ 3.10 can lose the leader of a queue that is some seconds old when it is killed. The queue holds doorbells, which are
        rung again; the next connection declares it."""
        log.warning("the queue %s does not answer; it is deleted and made anew", queue, extra=about("rabbitmq.queue_stuck"))
        channel = await connection.channel()
        await channel.ask(channel.raw.queue_delete, queue)

    async def _try_to_read_dead(self, connection: Connection, trigger: Trigger) -> None:
        """Dead letters are not thrown away, and hold nobody up: a queue that does not answer is a person's to mend."""
        try:
            await self._read_dead(connection, trigger)
        except NoAnswer:
            queue = self._topology.dead_queue(trigger)
            log.warning("the queue %s does not answer, so its dead letters wait; if that stays so after a restart of RabbitMQ, delete it: "
                        "rabbitmqctl delete_queue %s", queue, queue, extra=about("rabbitmq.queue_stuck", trigger=trigger.name))  # fmt: skip
        except AMQPError:
            return  # the connection is lost, and the next one begins again

    async def _read(self, connection: Connection, trigger: Trigger) -> None:
        async def bury(letters: Sequence[Event]) -> tuple[Sequence[int], bytes]:
            await self._bury(trigger.name, letters)
            return [200] * len(letters), b""

        courier = Courier(
            trigger,
            self._senders.route(trigger, trigger.subscriber),
            bury if trigger.delivery.dead_letter is not None else None,
            bound=0,
            feed=None,
            on_settled=lambda events: reader.settled(events),
            statistics=self._statistics[trigger.name],
        )
        reader = Reader(await connection.channel(), trigger, courier, self._refuse, dead=False)
        self._readers.append(reader)
        await reader.start(self._topology.queue(trigger))

    async def _read_dead(self, connection: Connection, trigger: Trigger) -> None:
        assert trigger.delivery.dead_letter is not None
        sink = self._senders.route(trigger, trigger.delivery.dead_letter)
        assert sink is not None
        courier = Courier(trigger, sink, sink.send, bound=0, feed=None, on_settled=lambda events: reader.settled(events))
        reader = Reader(await connection.channel(), trigger, courier, self._refuse, dead=True)
        self._readers.append(reader)
        await reader.start(self._topology.dead_queue(trigger))

    def _lost(self) -> None:
        """What these readers hold comes again on the next connection: they end what they have begun, and no more."""
        for task in self._beginning:
            task.cancel()
        for reader in self._readers:
            task = asyncio.get_running_loop().create_task(reader.stop(LEAVE_SECONDS))
            self._leaving[task] = reader
            task.add_done_callback(self._leaving.pop)
        self._readers = []
