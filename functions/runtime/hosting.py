"""All functions on one port: an ASGI application that hands each operation to the function that owns it."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from functions.runtime.entrance import Entrance
from functions.runtime.entrypoint import COMMON_ROUTES, EVENT_ROUTES, Function
from functions.runtime.http import Route, Router


class Host:
    """The operations of several functions behind one address. Functions behind the broker are not reachable here."""

    def __init__(self, functions: Sequence[Function], common: Function) -> None:
        self._owners: dict[tuple[str, str], Function] = {}
        routes: list[Route] = []
        for function in functions:
            for route in function.router.routes:
                if route not in COMMON_ROUTES and route not in EVENT_ROUTES:
                    self._owners[route.method, route.path] = function
                    routes.append(route)
        routes += (route for route in common.router.routes if (route.method, route.path) not in self._owners)
        self._router, self._common = Router(routes), common
        self._entrance = Entrance(self._find, common.door, common)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        response = await self._entrance(Request(scope, receive))
        await response(scope, receive, send)

    def _find(self, method: str, path: str) -> tuple[Function, Route, dict[str, str]]:
        route, segments = self._router.find(method, path)
        return self._owners.get((route.method, route.path), self._common), route, segments
