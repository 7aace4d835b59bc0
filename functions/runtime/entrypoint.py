"""What stands between a server and a service: routes, limits, strict decoding, and the one map from error to answer.

A fault that may pass answers 503. A fault that will not pass: an HTTP function answers 4xx; a function behind the broker
keeps the original bytes as a dead letter and answers 200, because the RabbitMQ Broker drops what is answered with 4xx.
"""

import asyncio
import logging
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from contracts.access import Role
from contracts.errors import ObservatoryError, Passing, Refused, Unadmitted, Unauthenticated
from contracts.event import Event
from contracts.log_fields import about
from contracts.trace import trace_id
from functions.runtime.description import Answer
from functions.runtime.entrance import METRICS, Door, Entrance
from functions.runtime.guard import ACTOR
from functions.runtime.http import Route, Router, check_query, header, json_response, problem, read_body, trace_of
from functions.runtime.sign_in import sign_in_page, wants_page

if TYPE_CHECKING:
    from functions.runtime.life import Life

log = logging.getLogger("observatory.entrypoint")


_endings: list[asyncio.Task[None]] = []  # of this process's functions, once it was told to end


async def ended() -> None:
    """Returns when what this process was told to end has ended; at once where nothing has begun."""
    await asyncio.gather(*_endings, return_exceptions=True)


class Service(Protocol):
    """What a function serves: it may be asked whether it is ready, and told to drain."""

    async def ready(self) -> None:
        """Returns when the service's parts answer; raises Passing."""

    async def drain(self) -> None:
        """Takes no more work and finishes what is in hand."""


class EventService(Service, Protocol):
    async def handle(self, trigger: str, events: Sequence[Event]) -> Sequence[int]:
        """Handles events of a Trigger, in order; an HTTP-like status for each (2xx done, 503 try again)."""

    async def refuse(self, trigger: str, error: ObservatoryError, headers: dict[str, str], body: bytes, event: Event | None) -> None:
        """Keeps what cannot be handled as a dead letter. Raises Passing when it cannot be kept now."""


Build = Callable[[], Awaitable[Any]]
Figures = Callable[[], Awaitable[bytes]]  # as Prometheus text
Begin = Callable[[str], Awaitable["Life | None"]]  # the life of a function's instance, by the function's name; None: its host's


class Function:
    """A deployable function: a service, built once and lazily, behind its routes."""

    def __init__(
        self, name: str, build: Build, routes: Sequence[Route], door: Callable[[], Door] = Door, life: Begin | None = None
    ) -> None:
        self.name = name
        self.door = door
        self.started = time.monotonic()
        self.requests: dict[tuple[str, int], int] = {}
        self._build = build
        self._service: Any = None
        self._building: asyncio.Lock | None = None
        self._begin = life
        self._life: Life | None = None
        self._draining = False
        own = {(route.method, route.path) for route in routes}
        self.router = Router([*routes, *(route for route in COMMON_ROUTES if (route.method, route.path) not in own)])
        self._entrance = Entrance(lambda method, path: (self, *self.router.find(method, path)), door, self)

    async def service(self) -> Any:
        """The service; the first call builds its adapters."""
        if self._service is None:
            self._building = self._building or asyncio.Lock()
            async with self._building:
                if self._service is None:
                    self._service = await self._build()
                    self._watch_for_the_end()
                    if self._begin is not None and (life := await self._begin(self.name)) is not None:
                        self._life = life
                        life.started()
        return self._service

    @property
    def figures(self) -> Figures | None:
        """The business figures, where this function's instance is the one that is always there to tell them."""
        return getattr(self._service, "figures", None)

    async def __call__(self, request: Request) -> Response:
        return await self._entrance(request)

    async def answer(self, route: Route, request: Request, segments: dict[str, str]) -> Response:
        """The answer of one of this function's routes, to a request that was let in. Raises MalformedRequest for its query string."""
        if route.query is not None:
            check_query(request, route.query)
        response = await route.handler(await self.service() if route.served else self, request, **segments)
        if self._life is not None and route not in COMMON_ROUTES:
            self._life.worked()
            if route.method != "GET":
                await self._life.settle()
        return response

    def refused(self, request: Request, error: ObservatoryError) -> Response:
        """The answer that an error makes. What the guard turned away is no refusal of a contract, and leaves no trace in the store."""
        if not isinstance(error, Passing | Refused):
            log.error("%s", error, extra=about("request.failed", **_facts(request)))
        if isinstance(error, Unauthenticated) and wants_page(request):
            return sign_in_page(error)
        service = self._service
        if isinstance(error, Refused) and not isinstance(error, Unadmitted) and hasattr(service, "note_refusal"):
            service.note_refusal(request.scope["path"], error)
        return problem(error, request.scope["path"])

    def count(self, method: str, status: int) -> None:
        self.requests[method, status] = self.requests.get((method, status), 0) + 1

    def failed(self, request: Request) -> Response:
        number = uuid.uuid4().hex[:12]
        log.exception("request %s %s failed (%s)", request.method, request.scope["path"], number,
                      extra=about("request.failed", number=number, **_facts(request)))  # fmt: skip
        return problem(ObservatoryError(f"something went wrong here; the log has it under {number}"), request.scope["path"])

    def _watch_for_the_end(self) -> None:
        """There is no ASGI lifespan: a SIGTERM handler in front of the server's own drains the service."""
        if getattr(self._service, "drain", None) is None or self._service_is_hosted:
            return
        before = signal.getsignal(signal.SIGTERM)
        loop = asyncio.get_running_loop()

        def on_term(number: int, frame: Any) -> None:
            if not self._draining:
                self._draining = True
                loop.call_soon_threadsafe(self._end)
            if callable(before):
                before(number, frame)

        try:
            signal.signal(signal.SIGTERM, on_term)
        except ValueError:  # not the main thread: whoever runs it there drains it
            log.debug("no SIGTERM handler outside the main thread", extra=about("drain.unwatched"))

    async def close(self) -> None:
        """For whoever hosts it: drains the service, if there is one, and tells its last."""
        if self._service is not None:
            await self._service.drain()
        if self._life is not None:
            self._life.stopped()
            await self._life.end()

    def _end(self) -> None:
        if self._life is not None:
            self._life.stopped()
        _endings.append(asyncio.get_running_loop().create_task(self._finish()))

    async def _finish(self) -> None:
        await self._service.drain()
        if self._life is not None:
            await self._life.end()

    @property
    def _service_is_hosted(self) -> bool:
        return getattr(self._service, "hosted", False)


def _facts(request: Request) -> dict[str, Any]:
    """What tells a request in the log: never its query string or its headers."""
    ids = {"trace_id": trace_id(trace_of(request)), "event_id": header(request, b"ce-id"), "actor": request.scope.get(ACTOR)}
    return {"method": request.method, "path": request.scope["path"], **ids}


# ---- operations that every function has -------------------------------------------------------------------------


async def liveness(function: Function, request: Request) -> Response:
    return json_response({"status": "alive"})


async def readiness(service: Any, request: Request) -> Response:
    await service.ready()
    return json_response({"status": "ready"})


async def metrics(function: Function, request: Request) -> Response:
    from observability.metrics import function_metrics

    text = function_metrics(function.name, function.requests, time.monotonic() - function.started)
    if (figures := function.figures) is not None:
        text += await figures()
    return Response(text, media_type="text/plain; version=0.0.4")


async def handshake(function: Function, request: Request) -> Response:
    """The abuse protection handshake of the CloudEvents webhook specification 1.0.1, section 4."""
    headers = {"allow": "POST, GET, OPTIONS"}
    if (origin := request.headers.get("webhook-request-origin")) is not None:
        headers |= {"webhook-allowed-origin": origin, "webhook-allowed-rate": "*"}
    return Response(status_code=200, headers=headers)


TEXT = {200: Answer(None, "text/plain")}
EMPTY = {200: Answer(None, "")}
COMMON_ROUTES = (
    Route("GET", "/health/liveness", liveness, "Whether the process answers.", {200: Answer("answers#alive")}, query=None, needs=None, served=False),
    Route("GET", "/health/readiness", readiness, "Whether its stores answer.", {200: Answer("answers#ready")}, query=None, needs=None),
    Route("GET", METRICS, metrics, "Prometheus metrics of this process.", TEXT, query=None, needs=Role.READ, served=False),
    Route("OPTIONS", "/", handshake, "The webhook handshake.", EMPTY, query=None, needs=Role.SUBMIT, served=False),
)


# ---- functions behind the broker --------------------------------------------------------------------------------


async def receive(service: EventService, request: Request, name: str = "direct") -> Response:
    """Events for a Trigger: decoded strictly, handled; never a 4xx."""
    from eventing import codec

    body = await read_body(request)
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in request.scope["headers"]}
    try:
        events = codec.decode(request.scope["headers"], body)
    except Refused as error:
        await service.refuse(name, error, headers, body, None)
        return Response(status_code=200)
    if (keep := getattr(service, "keep_received", None)) is not None:  # the bytes are what counts there
        return Response(status_code=await keep(name, headers, body, events))
    statuses = await service.handle(name, events)
    return Response(status_code=max(statuses, default=200))


EVENT_ROUTES = (
    Route("OPTIONS", "/", handshake, "The webhook handshake.", EMPTY, query=None, needs=None, served=False),
    Route("POST", "/", receive, "An event for this function.", EMPTY, query=None, needs=None),
    Route("POST", "/triggers/{name}", receive, "An event by a Trigger.", EMPTY, query=None, needs=None),
)  # open: who sends events is inside the cluster, where these addresses are local; their query is nobody's affair, for a 4xx drops the event


def http_function(
    name: str, build: Build, routes: Sequence[Route], door: Callable[[], Door] = Door, *, life: Begin | None = None
) -> Function:
    """A function that people and programs call."""
    return Function(name, build, routes, door, life)


def event_function(
    name: str, build: Build, door: Callable[[], Door] = Door, routes: Sequence[Route] = (), *, life: Begin | None = None
) -> Function:
    """A function behind the broker; `routes` are what people may ask of it besides."""
    return Function(name, build, [*EVENT_ROUTES, *routes], door, life)
