"""HTTP as every function does it: routes, bounded bodies, JSON answers, RFC 9457 problem details."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

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

Handler = Callable[..., Awaitable[Response]]
JSON = "application/json"
PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: `path` may hold `{name}` segments, which the handler gets as keyword arguments.

    `handler(service, request, **segments)` answers; `summary` and `statuses` document it. `needs` is the role that a key
    must have (None: open to all); who forgets to name it has shut it to all but operators. Of a route that is not
    `served`, the handler gets the function instead of its service.
    """

    method: str
    path: str
    handler: Handler
    summary: str = ""
    statuses: tuple[int, ...] = (200,)
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
    """RFC 9457 problem details of an error, with every fault; 503 says when to come again."""
    document: dict[str, Any] = {
        "type": f"urn:observatory:problem:{error.slug}",
        "title": (type(error).__doc__ or error.slug).strip().split("\n")[0],
        "status": error.status,
        "detail": error.message,
    }
    if instance is not None:
        document["instance"] = instance
    if error.faults:
        document["faults"] = [fault.as_json() for fault in error.faults]
    headers = {"retry-after": str(error.retry_after_seconds)} if isinstance(error, Passing) else {}
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allowed)
    if isinstance(error, Unauthenticated | RoleTooLow):
        headers["www-authenticate"] = error.challenge
    return Response(orjson.dumps(document), error.status, headers, PROBLEM)


def query_number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query string within bounds. Raises MalformedRequest."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.lstrip("-").isdigit()) or len(text) > 18 or not least <= int(text) <= most:
        raise MalformedRequest(f"{name}={text[:40]} is not usable", faults=[Fault(f"/{name}", f"a whole number from {least} to {most}")])
    return int(text)


def refuse_unknown_query(request: Request, known: Sequence[str]) -> None:
    """Raises MalformedRequest when the query string names what this operation does not know."""
    if not request.scope["query_string"]:
        return
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        faults = [Fault(f"/{name[:40]}", f"unknown; known are {', '.join(known) or 'none'}") for name in unknown]
        raise MalformedRequest("the query string has unknown parameters", faults=faults)
