"""All functions on one port: an ASGI application that hands each operation to the function that owns it."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from contracts.errors import ObservatoryError
from functions.runtime.entrypoint import COMMON_ROUTES, EVENT_ROUTES, Function
from functions.runtime.http import Router, json_response, problem
from functions.runtime.openapi import document

NOT_HOSTED = frozenset(route.path for route in (*COMMON_ROUTES, *EVENT_ROUTES)) - {"/"}


class Host:
    """The operations of several functions behind one address. Functions behind the broker are not reachable here."""

    def __init__(self, functions: Sequence[Function], common: Function) -> None:
        self._owners: dict[tuple[str, str], Function] = {}
        self._openapi = document(functions)
        routes = []
        for function in functions:
            for route in function.router.routes:
                if route in COMMON_ROUTES or route in EVENT_ROUTES:
                    continue
                self._owners[route.method, route.path] = function
                routes.append(route)
        for route in common.router.routes:
            if (route.method, route.path) not in self._owners:
                self._owners[route.method, route.path] = common
                routes.append(route)
        self._router = Router(routes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        if path == "/openapi.json" and request.method in ("GET", "HEAD"):
            return json_response(self._openapi)
        try:
            route, _ = self._router.find(request.method, path)
        except ObservatoryError as error:
            return problem(error, path)
        return await self._owners[route.method, route.path](request)
