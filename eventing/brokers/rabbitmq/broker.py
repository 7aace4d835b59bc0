"""The broker on RabbitMQ: publishes with confirms, delivers to the functions of this process and to URLs."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from contracts.errors import ObservatoryError
from contracts.event import Event
from contracts.log_fields import about
from eventing.broker import Refuse, Subscriber, TriggerStatistics
from eventing.brokers.rabbitmq.connection import parameters
from eventing.brokers.rabbitmq.consuming import Consuming
from eventing.brokers.rabbitmq.publishing import Publishing
from eventing.brokers.rabbitmq.topology import Topology
from eventing.brokers.sending import Senders
from eventing.triggers import Trigger

log = logging.getLogger("observatory.rabbitmq")

MAX_PENDING = 10_000
START_SECONDS = 5.0


class RabbitBroker:
    """A Broker (see eventing.broker) over RabbitMQ. `confirmed` means: in RabbitMQ's queues, on its disk.

    `subscribers` are the functions of this process, by the name of their Service: their Triggers' queues are read here,
    as are the dead letters whose sink they are. Several processes may read a queue. With `webhooks` this process also
    POSTs to the Triggers whose subscriber is a URL. `addresses` are base URLs of other functions, for `deliver_alone`.
    `refuse` keeps a message that is no event. `prefix` tells deployments on one virtual host apart.
    """

    def __init__(
        self,
        url: str,
        triggers: Sequence[Trigger],
        subscribers: Mapping[str, Subscriber],
        *,
        name: str = "observatory",
        prefix: str = "observatory",
        max_pending: int = MAX_PENDING,
        webhooks: bool = True,
        addresses: Mapping[str, str] | None = None,
        refuse: Refuse | None = None,
    ) -> None:
        self._triggers = triggers
        self._topology = Topology(triggers, prefix)
        self._senders = Senders(subscribers, addresses=addresses)
        self._publishing = Publishing(parameters(url, f"{name}, publishing"), self._topology, max_pending=max_pending)
        self._consuming = Consuming(
            parameters(url, f"{name}, consuming"), self._topology, self._senders, self._publishing.bury, refuse or _drop, webhooks=webhooks
        )

    # Publisher

    async def publish(self, events: Sequence[Event]) -> None:
        """As Publisher.publish. Raises BrokerUnavailable while RabbitMQ is away or short of memory, and for more than `room`."""
        await self._publishing.publish(events)

    @property
    def confirmed(self) -> int:
        return self._publishing.confirmed

    @property
    def room(self) -> int:
        return self._publishing.room

    def on_confirmed(self, callback: Callable[[], None]) -> None:
        self._publishing.on_confirmed(callback)

    # Broker

    async def start(self) -> None:
        """Begins; returns when RabbitMQ answers, or after some seconds without: it is tried until it does."""
        self._publishing.start()
        links = [self._publishing.link]
        if self._consuming.is_needed:
            self._consuming.start()
            links.append(self._consuming.link)
        await asyncio.gather(*(link.wait_ready(START_SECONDS) for link in links))

    async def stop(self, grace_seconds: float = 10.0) -> None:
        await self._consuming.stop(grace_seconds)
        await self._publishing.stop(grace_seconds)
        await self._senders.close()

    async def deliver_alone(self, trigger: str, event: Event) -> tuple[int, str]:
        """Delivers an event to one Trigger's subscriber, once; its status and what it said. Raises NotFound."""
        return await self._senders.deliver_alone(self._triggers, trigger, event)

    @property
    def is_ready(self) -> bool:
        """Whether RabbitMQ answers now."""
        return self._publishing.link.is_ready and (self._consuming.link.is_ready or not self._consuming.is_needed)

    @property
    def statistics(self) -> dict[str, TriggerStatistics]:
        """What became of the events that were delivered from here, by Trigger."""
        return self._consuming.statistics


async def _drop(trigger: str, error: ObservatoryError, headers: dict[str, str], body: bytes) -> None:
    log.error("%s: a message of %d bytes is no event and is dropped: %s", trigger, len(body), error, extra=about("rabbitmq.put_aside"))
