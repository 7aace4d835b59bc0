"""The OpenAPI 3.1 document, made from the routes of the functions; each operation names its owner as `x-function`."""

from collections.abc import Sequence
from typing import Any

from functions.runtime.entrypoint import COMMON_ROUTES, EVENT_ROUTES, Function
from functions.runtime.http import PROBLEM, Route

WORDS = {
    200: "Done.", 201: "Made.", 202: "Accepted.", 400: "Malformed.", 401: "Needs a key.", 403: "Not allowed.", 404: "Not there.", 405: "Not with this method.",
    408: "The body came too slowly.", 409: "Collides with what is there.", 413: "Too large.", 415: "Not this content type.",
    422: "Breaks the contract.", 431: "Too many headers.", 503: "A store is away; come again after Retry-After.",
}  # fmt: skip


SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "Asked for once OBSERVATORY_API_KEYS is set. Roles: read, submit (reads, too), operate (submits, too).",
}


def document(functions: Sequence[Function]) -> dict[str, Any]:
    """The document for these functions' operations."""
    paths: dict[str, dict[str, Any]] = {}
    for function in functions:
        for route in function.router.routes:
            if route not in COMMON_ROUTES and route not in EVENT_ROUTES:
                paths.setdefault(route.path, {})[route.method.lower()] = _operation(function.name, route)
    for route in COMMON_ROUTES:
        paths.setdefault(route.path, {}).setdefault(route.method.lower(), _operation("gateway", route))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Distributed Task Observatory", "version": "1", "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {"securitySchemes": {"key": SCHEME}},
    }


def _operation(owner: str, route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "x-function": owner,
        "responses": {str(status): _response(status) for status in _statuses(route)},
        "security": [] if route.needs is None else [{"key": [route.needs.word]}],
    }
    names = [segment[1:-1] for segment in route.path.split("/") if segment.startswith("{")]
    if names:
        operation["parameters"] = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    return operation


def _statuses(route: Route) -> list[int]:
    """What its table says, and what the guard may answer."""
    return sorted({*route.statuses, *(() if route.needs is None else (401, 403))})


def _response(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {"description": WORDS.get(status, "An answer.")}
    if status >= 400:
        response["content"] = {PROBLEM: {"schema": {"$ref": "urn:observatory:schema:problem:v1"}}}
    return response
