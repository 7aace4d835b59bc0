"""Publishing with confirms: messages go out one after the other without waiting, and are kept until RabbitMQ has them.

What is not confirmed when a connection is lost goes out again on the next one, before anything newer.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pika
from pika import spec

from contracts.errors import BrokerUnavailable
from contracts.event import Event
from contracts.log_fields import about
from eventing.brokers.rabbitmq.connection import Channel, Connection
from eventing.brokers.rabbitmq.link import Link
from eventing.brokers.rabbitmq.messages import Message, Packer, letter
from eventing.brokers.rabbitmq.topology import Topology

log = logging.getLogger("observatory.rabbitmq")

NACK_PAUSE_SECONDS = 0.5


@dataclass(slots=True, eq=False)
class Flight:
    """The messages of one call to `publish`: `first` is their lowest position, None for positions published before."""

    first: int | None
    left: int
    done: "asyncio.Future[None] | None" = None


@dataclass(slots=True, eq=False)
class Shipment:
    """A message on its way to an exchange."""

    exchange: str
    routing_key: str
    message: Message
    flight: Flight
    properties: spec.BasicProperties = field(init=False)

    def __post_init__(self) -> None:
        message = self.message
        self.properties = spec.BasicProperties(
            content_type=message.content_type, headers=message.headers or None, delivery_mode=spec.PERSISTENT_DELIVERY_MODE
        )


class Publishing:
    """The Publisher's half of the broker, over a connection of its own: RabbitMQ stops reading from one that publishes
    when it runs out of memory or disk, and acknowledgements must go on then."""

    def __init__(self, found: pika.URLParameters, topology: Topology, *, max_pending: int) -> None:
        self._topology, self._max_pending = topology, max_pending
        self._packer = Packer(topology.triggers)
        self.link = Link(found, self._prepare, self._lost)
        self._channel: Channel | None = None
        self._tag = 0  # of the last message sent on this channel
        self._sent: dict[int, Shipment] = {}  # by delivery tag, in order
        self._waiting: deque[Shipment] = deque()  # to be sent on the next connection, or after a refusal
        self._flights: deque[Flight] = deque()
        self._pending = 0  # events that are not confirmed
        self._published = self._confirmed = 0
        self._blocked = self._stopped = False
        self._was_closed = True  # whether there has been no room since the callbacks were last called
        self._callbacks: list[Callable[[], None]] = []

    # ---- Publisher --------------------------------------------------------------------------------------------

    async def publish(self, events: Sequence[Event]) -> None:
        """As Publisher.publish; returns once they are on their way. Raises BrokerUnavailable."""
        if reason := self._closed():
            raise BrokerUnavailable(reason)
        if len(events) > self.room:
            raise BrokerUnavailable(f"RabbitMQ has {self._pending} events to confirm yet; there is room for {self.room} more, not for {len(events)}.")
        again = [event for event in events if event.position <= self._published]
        fresh = [event for event in events if event.position > self._published] if again else events
        if again:
            self._ship(self._packer.pack(again), Flight(None, 0))
        if fresh:
            self._published = fresh[-1].position
            flight = Flight(fresh[0].position, 0)
            self._flights.append(flight)
            self._ship(self._packer.pack(fresh), flight)
            self._land()

    @property
    def confirmed(self) -> int:
        return self._confirmed

    @property
    def room(self) -> int:
        room = 0 if self._closed() else max(self._max_pending - self._pending, 0)
        self._was_closed = self._was_closed or not room
        return room

    def on_confirmed(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    async def bury(self, trigger: str, letters: Sequence[Event]) -> None:
        """Puts dead letters into their Trigger's queue; returns once they are confirmed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flight = Flight(None, len(letters), done)
        for event in letters:
            self._send(Shipment(self._topology.dead_exchange, trigger, letter(event), flight))
        await done

    # ---- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._stopped = False
        self.link.start()

    async def stop(self, grace_seconds: float) -> None:
        """Takes no more, and waits for confirms within the grace."""
        self._stopped = True
        drained = asyncio.Event()
        self._callbacks.append(lambda: drained.set() if not self._pending else None)
        if self._pending and self.link.is_ready:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(drained.wait(), grace_seconds)
        await self.link.stop()

    async def _prepare(self, connection: Connection) -> None:
        connection.on_blocked(self._set_blocked)
        channel = await connection.channel()
        await self._topology.declare(channel)
        await channel.ask(channel.raw.confirm_delivery, self._on_answer)
        self._channel, self._tag, self._blocked = channel, 0, False
        self._resend()
        asyncio.get_running_loop().call_soon(self._tell)

    def _lost(self) -> None:
        self._channel = None
        self._waiting.extendleft(reversed(self._sent.values()))
        self._sent = {}

    def _set_blocked(self, blocked: bool) -> None:
        self._blocked = blocked
        if blocked:
            log.warning("RabbitMQ is short of memory or disk and takes no events; they wait", extra=about("rabbitmq.blocked"))
        else:
            log.info("RabbitMQ takes events again", extra=about("rabbitmq.unblocked"))
            self._tell()

    def _closed(self) -> str | None:
        """Why nothing is taken now."""
        if self._stopped:
            return "The broker is not running; nothing was taken."
        if self._channel is None:
            return "RabbitMQ does not answer; nothing was taken."
        return "RabbitMQ is short of memory or disk; nothing was taken." if self._blocked else None

    # ---- on the way -------------------------------------------------------------------------------------------

    def _ship(self, messages: Sequence[Message], flight: Flight) -> None:
        flight.left = len(messages)
        for message in messages:
            self._send(Shipment(self._topology.exchange, "", message, flight))

    def _send(self, shipment: Shipment) -> None:
        self._pending += shipment.message.events
        self._waiting.append(shipment)
        if len(self._waiting) == 1:
            self._resend()

    def _resend(self) -> None:
        """Sends what waits, in order."""
        while self._waiting and self._channel is not None and self._channel.raw.is_open:
            shipment = self._waiting.popleft()
            self._tag += 1
            self._sent[self._tag] = shipment
            self._channel.raw.basic_publish(shipment.exchange, shipment.routing_key, shipment.message.body, shipment.properties)

    def _on_answer(self, frame: Any) -> None:
        """A confirm, or RabbitMQ's word that it could not take the message: then it is sent again after a pause."""
        method = frame.method
        shipments = self._take(method.delivery_tag, method.multiple)
        if isinstance(method, spec.Basic.Ack):
            for shipment in shipments:
                self._arrive(shipment)
            self._land()
        else:
            self._waiting.extendleft(reversed(shipments))
            log.warning("RabbitMQ refused %d messages; they are sent again", len(shipments), extra=about("rabbitmq.refused"))
            asyncio.get_running_loop().call_later(NACK_PAUSE_SECONDS, self._resend)

    def _take(self, tag: int, multiple: bool) -> list[Shipment]:
        if not multiple:
            return [self._sent.pop(tag)]
        tags = []
        for sent in self._sent:
            if sent > tag:
                break
            tags.append(sent)
        return [self._sent.pop(sent) for sent in tags]

    def _arrive(self, shipment: Shipment) -> None:
        self._pending -= shipment.message.events
        flight = shipment.flight
        flight.left -= 1
        if not flight.left and flight.done is not None and not flight.done.done():
            flight.done.set_result(None)

    def _land(self) -> None:
        """Moves `confirmed` behind the flights that have arrived."""
        while self._flights and not self._flights[0].left:
            self._flights.popleft()
        first = self._flights[0].first if self._flights else None
        confirmed = self._published if first is None else first - 1
        grown = confirmed > self._confirmed
        self._confirmed = max(confirmed, self._confirmed)
        if grown or (self._was_closed and self.room):
            self._tell()

    def _tell(self) -> None:
        self._was_closed = False
        for callback in self._callbacks:
            callback()
