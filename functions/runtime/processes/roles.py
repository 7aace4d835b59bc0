"""What each process does: the functions that it hosts, what starts with them, and how they end."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.requests import Request

from contracts.errors import ConfigurationError, ObservatoryError
from contracts.log_fields import about
from functions.runtime.entrypoint import Function
from functions.runtime.processes.roster import BEHIND, FRONT
from functions.runtime.wiring import Services

log = logging.getLogger("observatory.processes")
Application = Callable[[Any, Any, Any], Awaitable[None]]


class Role(Protocol):
    application: Application
    """What answers requests, from the beginning on: 503 while a store is away."""

    async def start(self) -> None:
        """Opens what it needs; raises Passing while that is away, and is called again."""

    async def stop(self) -> None:
        """Takes no more, finishes what is in hand."""


def role(name: str, services: Services) -> Role:
    """Raises ConfigurationError for a name that is none."""
    roles: dict[str, Callable[[Services], Role]] = {
        FRONT: Front, "processor": ProcessorRole, "metrics-engine": MetricsRole, "scheduler": SchedulerRole, "dead-letter": DeadLetterRole
    }  # fmt: skip
    if name not in roles:
        raise ConfigurationError(f"there is no process {name!r}; there are {', '.join((FRONT, *BEHIND))}")
    return roles[name](services)


def alone(function: Function) -> Application:
    """One function as an application, with its paths for events."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            response = await function(Request(scope, receive))
            await response(scope, receive, send)

    return application


class Front:
    """Gateway, read model and what people ask of dead letters, on the one port."""

    def __init__(self, services: Services) -> None:
        from functions.dead_letter.main import app as dead_letter
        from functions.gateway.main import app as gateway
        from functions.read_model.main import app as read_model
        from functions.runtime.hosting import Host

        self._functions = (gateway, read_model, dead_letter)
        self.application: Application = Host(self._functions, read_model)

    async def start(self) -> None:
        for function in self._functions[:2]:  # it is another process that is the dead letters' instance
            await function.service()

    async def stop(self) -> None:
        for function in self._functions[:2]:
            await function.close()


class Behind:
    """A function behind the broker. `_look_once` is what it does by itself each tick, whatever became of its doorbells."""

    def __init__(self, services: Services, function: Function) -> None:
        self._parts, self._function = services.parts, function
        self.application: Application = alone(function)
        self._broker: Any = None
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        service = await self._function.service()
        self._broker = await self._begin(service)
        self._looking = asyncio.create_task(self._look(service), name="looking")

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._broker is not None:
            await self._broker.stop()
        await self._function.close()

    async def _begin(self, service: Any) -> Any:
        """The broker, delivering to this function."""
        names = [trigger.subscriber.service for trigger in self._parts.triggers()]
        mine = {name: service.handle for name in names if name is not None and self._serves(name)}
        return await self._parts.broker(mine, self._refuser(service))

    def _serves(self, service_name: str) -> bool:
        return service_name == self._function.name

    @staticmethod
    def _refuser(service: Any) -> Any:
        async def refuse(trigger: str, error: ObservatoryError, headers: dict[str, str], body: bytes) -> None:
            await service.refuse(trigger, error, headers, body, None)

        return refuse

    async def _look(self, service: Any) -> None:
        while True:
            await asyncio.sleep(self._parts.settings.tick_seconds)
            with contextlib.suppress(ObservatoryError):
                self._look_once(service)

    def _look_once(self, service: Any) -> None:
        return None


class ProcessorRole(Behind):
    def __init__(self, services: Services) -> None:
        from functions.processor.main import app

        super().__init__(services, app)

    def _serves(self, service_name: str) -> bool:
        return service_name == "processor" or service_name.startswith("processor-")  # a queue's own Service

    def _look_once(self, service: Any) -> None:
        service.ring_all()


class MetricsRole(Behind):
    def __init__(self, services: Services) -> None:
        from functions.metrics_engine.main import app

        super().__init__(services, app)

    def _look_once(self, service: Any) -> None:
        service.wake()


class DeadLetterRole(Behind):
    """Also POSTs to the Triggers whose subscriber is a URL: somebody has to, and it has little else to do."""

    def __init__(self, services: Services) -> None:
        from functions.dead_letter.main import app

        super().__init__(services, app)

    async def _begin(self, service: Any) -> Any:
        return await self._parts.broker({"dead-letter": service.handle}, self._refuser(service), webhooks=True)


class SchedulerRole:
    """Keeps time, publishes for all processes, drops what is old, goes on with bulk operations."""

    def __init__(self, services: Services) -> None:
        from functions.scheduler.main import app

        self._services, self._parts, self._function = services, services.parts, app
        self.application: Application = alone(app)
        self._broker: Any = None
        self._ends: list[Callable[[], Awaitable[Any]]] = []
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        store = await self._parts.job_store()
        if self._broker is None:
            await self._begin(store)
        scheduler = await self._function.service()
        self._keep_time(store, scheduler)
        sweeper = await self._services.sweeper()
        self._tasks = [
            asyncio.create_task(sweeper.sweep_on(self._parts.settings.tick_seconds), name="retention"),
            asyncio.create_task(self._resume(), name="bulk"),
        ]

    async def _begin(self, store: Any) -> None:
        """The broker, the relay that has turns, and the bell that rings by them."""
        from functions.runtime.processes.duty import Duty
        from functions.runtime.relay import Relay

        redact = (await self._parts.redactor()).events
        self._broker = await self._parts.broker({})
        relay = Relay(store, self._broker, redact)
        self._parts.keep_bell(await self._parts.bell_of(self._broker, relay.nudge))
        duty = Duty(store, relay)
        duty.start()
        self._ends += [self._broker.stop, duty.stop]

    def _keep_time(self, store: Any, scheduler: Any) -> None:
        from functions.runtime.timer import Timer

        timer = Timer(scheduler.tick, store.now, self._parts.settings.tick_seconds)
        store.on_committed(timer.committed)
        timer.start(store.now())
        self._ends.append(timer.stop)

    async def _resume(self) -> None:
        """Bulk operations whose process is gone; what another works on is held by it."""
        bulk = await self._services.bulk()
        while True:
            try:
                await bulk.resume()
            except ObservatoryError as error:
                log.warning("bulk operations wait: %s", error, extra=about("bulk.waits"))
            await asyncio.sleep(self._parts.settings.tick_seconds)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for end in reversed(self._ends):
            await end()
        await self._function.close()


