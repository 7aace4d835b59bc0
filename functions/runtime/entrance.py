"""The one way in by HTTP: bounded headers, the guard, the route, the answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from contracts.access import Role
from contracts.errors import MethodNotAllowed, ObservatoryError, Refused
from functions.runtime.guard import Guard
from functions.runtime.http import LIMITS, Limits, Route
from functions.runtime.pace import RefusalPace

if TYPE_CHECKING:
    from functions.runtime.entrypoint import Function

METRICS = "/metrics"


@dataclass(frozen=True, slots=True)
class Door:
    """What every request is held to."""

    limits: Limits = field(default_factory=Limits)
    guard: Guard = field(default_factory=Guard)
    pace: RefusalPace = field(default_factory=RefusalPace)


Find = Callable[[str, str], tuple["Function", Route, dict[str, str]]]


class Entrance:
    """Brings each request to the function that owns its operation; `keeper` answers for what nobody owns."""

    def __init__(self, find: Find, door: Callable[[], Door], keeper: "Function") -> None:
        self._find, self._read_door, self._keeper = find, door, keeper
        self._door: Door | None = None

    async def __call__(self, request: Request) -> Response:
        function, route = self._keeper, None
        try:
            door = self._opened()
            request.scope[LIMITS] = door.limits
            door.limits.check_headers(request)
            if request.method == "OPTIONS" and (allowed := door.guard.preflight(request.scope)) is not None:
                response = Response(status_code=204)
                response.raw_headers.extend(allowed)
            else:
                function, route, segments = self._way(door.guard, request)
                response = await function.answer(route, request, segments)
        except ObservatoryError as error:
            response = function.refused(request, self._for_strangers(error, request, route))
        except ClientDisconnect:
            response = Response(status_code=400)
        except Exception:
            response = function.failed(request)
        if self._door is not None:
            response.raw_headers.extend(self._door.guard.cross_origin(request.scope))
        function.count(request.method, response.status_code)
        if 400 <= response.status_code < 500:
            await self._hold(request)
        return response

    async def _hold(self, request: Request) -> None:
        """Refusals beyond the pace of their sender are answered later."""
        client = request.scope.get("client")
        if self._door is not None and (seconds := self._door.pace.delay(client[0] if client else "")) > 0:
            await asyncio.sleep(seconds)

    def _opened(self) -> Door:
        """The settings are read on the first request, never at import."""
        if self._door is None:
            self._door = self._read_door()
        return self._door

    def _way(self, guard: Guard, request: Request) -> "tuple[Function, Route, dict[str, str]]":
        """The owner of an operation, once the guard lets the request in: strangers do not learn what there is."""
        try:
            found = self._find(request.method, request.scope["path"])
        except Refused as error:
            if not (isinstance(error, MethodNotAllowed) and self._is_open(error, request.scope["path"])):
                guard.admit(request.scope, Role.READ)
            raise
        needs = found[1].needs
        if needs is not None and guard.rules.metrics_open and found[1].path == METRICS:
            needs = None
        guard.admit(request.scope, needs)
        return found

    def _is_open(self, error: MethodNotAllowed, path: str) -> bool:
        """Whether what is at a path, by another method, is open to all."""
        return all(self._find(method, path)[1].needs is None for method in error.allowed)

    def _for_strangers(self, error: ObservatoryError, request: Request, route: Route | None) -> ObservatoryError:
        """An open operation tells strangers that it fails, and the others why."""
        if route is None or route.needs is not None or self._door is None or not self._door.guard.is_stranger(request.scope):
            return error
        return type(error)()
