"""A connection that is kept: opened again with growing pauses for as long as it is wanted."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable

import pika
from pika.exceptions import AMQPError

from contracts.log_fields import about
from eventing.brokers.rabbitmq.connection import Connection, address_of, reason_of

log = logging.getLogger("observatory.rabbitmq")

PAUSES_SECONDS = (0.1, 5.0)
SAY_AGAIN_SECONDS = 30.0

Prepare = Callable[[Connection], Awaitable[None]]


class Link:
    """`prepare` makes a new connection ready for use; `lost` is called when one is gone, or was not made ready."""

    def __init__(self, found: pika.URLParameters, prepare: Prepare, lost: Callable[[], None]) -> None:
        self._parameters, self._prepare, self._lost = found, prepare, lost
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._said_at: float | None = None  # when it was last said that it is away
        self.away = ""  # why there is no connection, since the last one was lost or could not be made

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep(), name="rabbitmq")

    async def wait_ready(self, seconds: float) -> bool:
        """Whether it is ready within that time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), seconds)
        return self.is_ready

    @property
    def is_started(self) -> bool:
        return self._task is not None

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep(self) -> None:
        shortest, longest = PAUSES_SECONDS
        pause = shortest
        while True:
            try:
                await self._hold()
            except (AMQPError, OSError) as error:
                pause = shortest if self.is_ready else min(pause * 2, longest)
                self.away = reason_of(error)
                self._say_away(self.away)
            except Exception:  # a fault of ours must not end the connection for good
                pause = longest
                log.exception("the connection to RabbitMQ broke down", extra=about("rabbitmq.broken"))
            self._ready.clear()
            self._lost()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def _hold(self) -> None:
        """Opens a connection and holds it until it is lost. Raises what it was lost by."""
        connection = await Connection.open(self._parameters)
        try:
            await self._prepare(connection)
            self.away = ""
            self._ready.set()
            if self._said_at is not None:
                log.info("RabbitMQ at %s answers again", self._address, extra=about("rabbitmq.back"))
                self._said_at = None
            raise await asyncio.shield(connection.lost)
        finally:
            await connection.close()

    @property
    def _address(self) -> str:
        return address_of(self._parameters)

    def _say_away(self, reason: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._said_at is None or now - self._said_at >= SAY_AGAIN_SECONDS:
            self._said_at = now
            log.warning("RabbitMQ at %s is away (%s); tried until it answers, nothing is lost", self._address, reason,
                        extra=about("rabbitmq.away"))  # fmt: skip
