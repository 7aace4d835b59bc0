"""Asks RabbitMQ now and then whether it answers, for those who neither publish nor consume."""

import asyncio

from pika.exceptions import AMQPError

from contracts.errors import BrokerUnavailable
from eventing.brokers.rabbitmq.connection import Channel, Connection, address_of, parameters
from eventing.brokers.rabbitmq.link import Link

ANSWER_SECONDS = 2.0


class RabbitWatch:
    """Keeps a connection from the first question on; it carries nothing but questions."""

    def __init__(self, url: str, *, name: str = "observatory") -> None:
        found = parameters(url, f"{name}, watching")
        self.address = address_of(found)
        self._link = Link(found, self._prepare, self._lost)
        self._channel: Channel | None = None
        self._program = "RabbitMQ"

    async def program(self) -> str:
        """What answers there, with its version. Raises BrokerUnavailable saying why nothing does; takes two seconds at most."""
        is_first = not self._link.is_started
        if is_first:
            self._link.start()
        if is_first or not self._link.away:
            await self._link.wait_ready(ANSWER_SECONDS)
        channel = self._channel
        if channel is None:
            raise self._away()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await channel.ask(channel.raw.basic_qos, prefetch_count=1)
        except (AMQPError, OSError, TimeoutError) as error:
            raise self._away() from error
        return self._program

    def _away(self) -> BrokerUnavailable:
        return BrokerUnavailable(f"is away: {self._link.away or f'no answer within {ANSWER_SECONDS:g} s'}")

    async def close(self) -> None:
        await self._link.stop()

    async def _prepare(self, connection: Connection) -> None:
        self._channel = await connection.channel()
        self._program = connection.program

    def _lost(self) -> None:
        self._channel = None
