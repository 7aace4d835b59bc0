"""What RabbitMQ holds for the Triggers: a headers exchange, a quorum queue each, and where dead letters go.

The exchange's name ends in a digest of all filters. A changed Trigger file therefore makes a new exchange with bindings of
its own, and processes of the version before keep theirs: bindings cannot be listed by AMQP, so old ones cannot be taken away.
"""

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from contracts import strict_json
from contracts.errors import ConfigurationError
from eventing.brokers.rabbitmq.connection import Channel
from eventing.triggers import Trigger

log = logging.getLogger("observatory.rabbitmq")

DELIVERY_LIMIT = 20
RETRY_SECONDS_MAX = 1_500.0  # RabbitMQ takes a delivery back that is not acknowledged for 30 minutes


class Topology:
    """Names, and the declaration of all. Raises ConfigurationError for a Trigger that RabbitMQ cannot hold to."""

    def __init__(self, triggers: Sequence[Trigger], prefix: str = "observatory") -> None:
        self.triggers, self._prefix = triggers, prefix
        for trigger in triggers:
            _require_soon_enough(trigger)
        filters = strict_json.dumps({trigger.name: dict(trigger.attributes) for trigger in triggers})
        self.exchange = f"{prefix}.events.{hashlib.sha256(filters).hexdigest()[:12]}"
        self.dead_exchange = f"{prefix}.dead-letters"

    def queue(self, trigger: Trigger) -> str:
        return f"{self._prefix}.{trigger.name}"

    def dead_queue(self, trigger: Trigger) -> str:
        return f"{self._prefix}.{trigger.name}.dead-letters"

    async def declare(self, channel: Channel) -> None:
        """Makes what is not there. Raises AMQPError, also when something of the name is there with other arguments."""
        raw = channel.raw
        await channel.ask(raw.exchange_declare, self.exchange, exchange_type="headers", durable=True)
        await channel.ask(raw.exchange_declare, self.dead_exchange, exchange_type="direct", durable=True)
        for trigger in self.triggers:
            await self._declare_queue(channel, trigger)

    async def _declare_queue(self, channel: Channel, trigger: Trigger) -> None:
        raw, queue = channel.raw, self.queue(trigger)
        await channel.ask(raw.queue_declare, queue, durable=True, arguments=self._arguments(trigger))
        await channel.ask(raw.queue_bind, queue, self.exchange, arguments={"x-match": "all", **trigger.attributes})
        if trigger.delivery.dead_letter is not None:
            dead = self.dead_queue(trigger)
            await channel.ask(raw.queue_declare, dead, durable=True, arguments={"x-queue-type": "quorum"})
            await channel.ask(raw.queue_bind, dead, self.dead_exchange, routing_key=trigger.name)

    def _arguments(self, trigger: Trigger) -> dict[str, Any]:
        arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
        if trigger.delivery.dead_letter is not None:
            arguments |= {
                "x-dead-letter-exchange": self.dead_exchange,
                "x-dead-letter-routing-key": trigger.name,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",  # what the strategy asks for
            }
        return arguments


def _require_soon_enough(trigger: Trigger) -> None:
    delivery = trigger.delivery
    seconds = sum(delivery.delay_seconds(retry) for retry in range(1, delivery.retry + 1))
    if seconds > RETRY_SECONDS_MAX:
        raise ConfigurationError(
            f"the Trigger {trigger.name!r} spends {seconds:,.0f} s between its tries; RabbitMQ waits 30 minutes for an answer, "
            f"so retry, backoffDelay and backoffPolicy may add up to {RETRY_SECONDS_MAX:,.0f} s"
        )
