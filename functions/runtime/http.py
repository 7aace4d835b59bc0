"""HTTP as every function does it: routes, bounded bodies, JSON answers, RFC 9457 problem details."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from contracts import trace
from contracts.access import Role
from contracts.errors import (
    ContentTooLarge,
    Fault,
    HeadersTooLarge,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    ObservatoryError,
    Passing,
    RequestTimeout,
    RoleTooLow,
    Unauthenticated,
    UnsupportedMediaType,
)
from functions.runtime.description import JSON, PROBLEM, Answer, Body, Parameter

Handler = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: `path` may hold `{name}` segments, which the handler gets as keyword arguments.

    `handler(service, request, **segments)` answers. `answers` are those that succeed, by status; `refusals` the further
    statuses beside those that any operation of its kind may answer (`runtime/openapi.py`). `query` and `headers` are what it
    takes besides, and an unknown name in the query string is refused at the door (None: nothing is), `body` what it is sent.
    `needs` is the role that a key must have (None: open to all); who forgets to name it has shut it to all but operators.
    Of a route that is not `served`, the handler gets the function instead of its service.
    """

    method: str
    path: str
    handler: Handler
    summary: str = ""
    answers: Mapping[int, Answer] = field(default_factory=lambda: {200: Answer()})
    refusals: tuple[int, ...] = ()
    query: tuple[Parameter, ...] | None = ()
    headers: tuple[Parameter, ...] = ()
    body: Body | None = None
    needs: Role | None = Role.OPERATE
    served: bool = True


class Router:
    """Finds the route of a method and path; exact paths by one look-up."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._exact: dict[str, dict[str, Route]] = {}
        self._pattern: dict[int, list[tuple[tuple[str, ...], dict[str, Route]]]] = {}
        for route in routes:
            if "{" in route.path:
                self._add_pattern(route)
            else:
                self._exact.setdefault(route.path, {})[route.method] = route

    def _add_pattern(self, route: Route) -> None:
        segments = tuple(route.path.split("/"))
        shapes = self._pattern.setdefault(len(segments), [])
        for known, methods in shapes:
            if known == segments:
                methods[route.method] = route
                return
        shapes.append((segments, {route.method: route}))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and its path segments. Raises NotFound or MethodNotAllowed (naming the methods it takes)."""
        methods, values = self._match(path)
        if methods is None:
            raise NotFound(f"there is nothing at {path}; GET / lists the addresses")
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            error = MethodNotAllowed(f"{path} takes {', '.join(sorted(methods))}, not {method}")
            error.allowed = tuple(sorted(methods))
            raise error
        return route, values

    def has(self, path: str) -> bool:
        return self._match(path)[0] is not None

    def _match(self, path: str) -> tuple[dict[str, Route] | None, dict[str, str]]:
        exact = self._exact.get(path)
        if exact is not None:
            return exact, {}
        given = path.split("/")
        for segments, methods in self._pattern.get(len(given), ()):
            values = {}
            for pattern, value in zip(segments, given, strict=True):
                if pattern[:1] == "{" and value:
                    values[pattern[1:-1]] = value
                elif pattern != value:
                    break
            else:
                return methods, values
        return None, {}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a request may bring, in bytes, items and seconds."""

    body_bytes: int = 6_000_000
    batch_bytes: int = 5_000_000
    header_bytes: int = 65_536
    header_count: int = 100
    body_seconds: float = 30.0

    def check_headers(self, request: Request) -> None:
        headers = request.scope["headers"]
        if len(headers) > self.header_count:
            raise HeadersTooLarge(f"{len(headers)} headers; at most {self.header_count} are taken")
        size = sum(len(name) + len(value) for name, value in headers)
        if size > self.header_bytes:
            raise HeadersTooLarge(f"{size} bytes of headers; at most {self.header_bytes} are taken")


WISH_BYTES = 65_536
INSTANCE_CHARACTERS = 500
NAME_CHARACTERS = 40
FAULTS_MOST = 100
LIMITS = "observatory.limits"  # where a request's scope holds the limits of its function


def limits_of(request: Request) -> Limits:
    """The limits that hold for a request."""
    limits: Limits = request.scope.get(LIMITS) or Limits()
    return limits


async def read_body(request: Request, most: int | None = None) -> bytes:
    """The whole body, at most `most` (default: the limit) bytes, within the limit's time.

    What is too large is read on and thrown away up to four times the limit, so that the client hears the answer.
    Raises ContentTooLarge, RequestTimeout.
    """
    limits = limits_of(request)
    bound = limits.body_bytes if most is None else most
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _read(request, bound)
    except TimeoutError:
        raise RequestTimeout(f"the body did not arrive within {limits.body_seconds:g} s") from None


async def _read(request: Request, bound: int) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size <= bound:
            chunks.append(chunk)
        elif size > 4 * bound:
            break
    if size > bound:
        raise ContentTooLarge(f"the body is larger than {bound} bytes; send less, or several requests")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def header(request: Request, name: bytes) -> str | None:
    """The first header of a lower-case name, read from the raw ones; None when there is none."""
    for given, value in request.scope["headers"]:
        if given == name:
            text: str = value.decode("latin-1")
            return text
    return None


def trace_of(request: Request) -> str | None:
    """The caller's `traceparent`; of two there is none (W3C Trace Context, section 3.2)."""
    given = [value for name, value in request.scope["headers"] if name == b"traceparent"]
    return trace.traceparent_of(given[0].decode("latin-1")) if len(given) == 1 else None


def require_json(request: Request) -> None:
    """Raises UnsupportedMediaType unless the body is declared as JSON in UTF-8."""
    given = header(request, b"content-type") or ""
    if given == JSON:
        return
    kind, _, rest = given.partition(";")
    kind = kind.strip().lower()
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaType(f"send Content-Type: application/json (got {kind or 'none'})")
    charset = [p.strip().lower() for p in rest.split(";") if p.strip().lower().startswith("charset")]
    if charset and charset[0].partition("=")[2].strip('" ') not in ("utf-8", "utf8"):
        raise UnsupportedMediaType("JSON is UTF-8 here; drop the charset or send charset=utf-8")


class JsonAnswer(Response):
    """A JSON answer whose headers are laid out directly: this is on the way of every job."""

    def __init__(self, value: Any, status: int, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.background = None
        self.body = orjson.dumps(value)
        self.raw_headers = [(b"content-length", str(len(self.body)).encode()), (b"content-type", JSON.encode())]
        for name, text in headers.items():
            if name == "content-type":
                self.raw_headers[1] = (b"content-type", text.encode("latin-1"))
            else:
                self.raw_headers.append((name.encode("latin-1"), text.encode("latin-1")))


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return JsonAnswer(value, status, headers or {})


def problem(error: ObservatoryError, instance: str | None = None) -> Response:
    """RFC 9457 problem details of an error, with every fault; `instance` is the path asked for. 503 says when to come again."""
    document: dict[str, Any] = {
        "type": f"urn:observatory:problem:{error.slug}",
        "title": (type(error).__doc__ or error.slug).strip().split("\n")[0],
        "status": error.status,
        "detail": error.message,
    }
    if instance is not None:
        document["instance"] = quote(instance[:INSTANCE_CHARACTERS])
    if error.faults:
        document["faults"] = [fault.as_json() for fault in error.faults]
    headers = {"retry-after": str(error.retry_after_seconds)} if isinstance(error, Passing) else {}
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allowed)
    if isinstance(error, Unauthenticated | RoleTooLow):
        headers["www-authenticate"] = error.challenge
    return Response(orjson.dumps(document), error.status, headers, PROBLEM)


async def read_wish(request: Request, name: str, most: int = WISH_BYTES) -> dict[str, Any]:
    """The small body of a wish, `{}` without one, checked against its schema in `wishes.json`. Raises ContractViolation."""
    from contracts import strict_json, validation

    body = await read_body(request, most)
    if body:
        require_json(request)
    document = strict_json.loads(body) if body else {}
    validation.validate(f"wishes#{name}", document)
    wish: dict[str, Any] = document
    return wish


# ---- the query string -------------------------------------------------------------------------------------------


def query_number(request: Request, parameter: Parameter) -> int | None:
    """The whole number that is given within its bounds, or its default. Raises MalformedRequest."""
    text = request.query_params.get(parameter.name)
    if text is None:
        return parameter.schema.get("default")
    least, most = parameter.schema["minimum"], parameter.schema["maximum"]
    if not (text.isascii() and text.lstrip("-").isdigit()) or len(text) > 18 or not least <= int(text) <= most:
        raise MalformedRequest(
            f"{parameter.name}={text[:40]} is not usable", faults=[Fault(f"/{parameter.name}", f"a whole number from {least} to {most}")]
        )
    return int(text)


def pointer_to(name: str) -> str:
    """The JSON pointer (RFC 6901) of a name that somebody sent; of a long one its beginning."""
    return "/" + name[:NAME_CHARACTERS].replace("~", "~0").replace("/", "~1")


def check_query(request: Request, known: Sequence[Parameter]) -> None:
    """Raises MalformedRequest when the query string names what this operation does not know, or one value twice."""
    if not request.scope["query_string"]:
        return
    parameters = {parameter.name: parameter for parameter in known}
    given = Counter(name for name, _ in request.query_params.multi_items())
    unknown = list(islice((name for name in given if name not in parameters), FAULTS_MOST))
    faults = [Fault(pointer_to(name), f"unknown; known are {', '.join(parameters) or 'none'}") for name in unknown]
    faults += [Fault(f"/{name}", "given more than once") for name, parameter in parameters.items() if given[name] > 1 and not parameter.is_list]
    if faults:
        raise MalformedRequest("the query string is not usable", faults=faults)
