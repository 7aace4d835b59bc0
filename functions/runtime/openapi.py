"""The OpenAPI 3.1 document, made from the routes of the functions; each operation names its owner as `x-function`.

Beside what a route names itself, an operation may answer what the door and the guard refuse. What the HTTP server answers
by itself (400 for broken framing) is no operation's answer and not listed, nor is HEAD, which every GET takes.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import orjson

from contracts import schema_files
from contracts.access import Role
from functions.runtime.description import PROBLEM, Answer, Parameter, named
from functions.runtime.http import Route

OWNERS = {"gateway": "functions.gateway.web", "read-model": "functions.read_model.web", "dead-letter": "functions.dead_letter.web"}
COMMON = "functions.runtime.entrypoint"  # routes that every function has; on one port, and by its gateway on a cluster

WORDS = {
    200: "Done.", 201: "Made.", 202: "Accepted.", 400: "Malformed: the request, its query string or its JSON.", 401: "Needs a key.",
    403: "Not allowed: by the key's role, or without keys by host and origin.", 404: "Not there.", 408: "The body came too slowly.",
    409: "Collides with what is there.", 413: "Too large.", 415: "Not this content type.", 422: "Breaks the contract.", 431: "Too many headers.",
    503: "A part is away, or too much is asked at once: come again after Retry-After.",
}  # fmt: skip
DESCRIPTION = """Background jobs, their events and what is computed from them. Faults are problem details (RFC 9457) with every fault named.

Every GET takes HEAD, too. Lists page by `cursor`; a page's `next_cursor` is null on the last. What the HTTP server refuses by
itself, such as broken framing, is answered 400 in its own words."""
SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "Asked for once OBSERVATORY_API_KEYS is set. Roles: read, submit (reads, too), operate (submits, too).",
}
HEADERS = {
    "location": {"description": "Where it is.", "schema": {"type": "string"}, "required": True},
    "retry-after": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}, "required": True},
    "www-authenticate": {"description": "RFC 6750.", "schema": {"type": "string"}, "required": True},
}
_SHAPES = {"job_id": named("common#jobId"), "lease_token": {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}}


@cache
def text_of_all() -> bytes:
    """The document of the whole API, as JSON."""
    return orjson.dumps(document())


def routes() -> Iterator[tuple[str, Route]]:
    """Every operation that people and programs call: (owner, route), each once."""
    common = import_module(COMMON).COMMON_ROUTES
    seen: set[tuple[str, str]] = set()
    for owner, found in [*((owner, import_module(module).ROUTES) for owner, module in OWNERS.items()), ("gateway", common)]:
        for route in found:
            if (route.method, route.path) not in seen:
                seen.add((route.method, route.path))
                yield owner, route


def document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for owner, route in routes():
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(owner, route)
    described = {
        "openapi": "3.1.0",
        "info": {"title": "Distributed Task Observatory", "version": "1", "description": DESCRIPTION,
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": dict(sorted(paths.items())),
        "components": {"securitySchemes": {"key": SCHEME}},
    }  # fmt: skip
    return _self_contained(described)


# ---- operations -------------------------------------------------------------------------------------------------


def _operation(owner: str, route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "x-function": owner,
        "parameters": [_parameter(parameter) for parameter in (*_segments(route), *(route.query or ()), *route.headers)],
        "responses": {str(status): _response(status, route.answers.get(status)) for status in statuses(route)},
        "security": [] if route.needs is None else [{"key": [route.needs.word]}],
    }
    if route.body is not None:
        content = {media: {"schema": schema} for media, schema in route.body.content().items()}
        operation["requestBody"] = {"required": route.body.required, "content": content}
    return operation


def statuses(route: Route) -> list[int]:
    """What an operation may answer: its own, and what the door, the guard and the stores may say of any of its kind."""
    found = {*route.answers, *route.refusals, 400, 431}
    if route.needs is not None:
        found |= {401, 403}
    if route.needs is not None and route.needs > Role.READ:
        found.add(415)  # what a form of any page can send
    if route.served:
        found.add(503)
    if "{" in route.path:
        found.add(404)
    if route.body is not None:
        found |= {408, 413, 415, 422}
    return sorted(found)


def _segments(route: Route) -> list[Parameter]:
    names = re.findall(r"{(\w+)}", route.path)
    return [Parameter(name, "Which one.", _SHAPES.get(name, {"type": "string", "minLength": 1}), "path") for name in names]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {"name": parameter.name, "in": parameter.place, "description": parameter.description, "schema": dict(parameter.schema)}
    return found | ({"required": True} if parameter.place == "path" else {})


def _response(status: int, answer: Answer | None) -> dict[str, Any]:
    response: dict[str, Any] = {"description": WORDS[status]}
    if answer is None:
        response["content"] = {PROBLEM: {"schema": named("problem")}}
    elif answer.media:
        response["content"] = {answer.media: {"schema": {"type": "string"} if answer.schema is None else named(answer.schema)}}
    if status == 401:
        response["content"]["text/html"] = {"schema": {"type": "string"}}  # a browser is asked for a key
    held = {"location": answer is not None and answer.located, "retry-after": status == 503, "www-authenticate": status == 401}
    if any(held.values()):
        response["headers"] = {name: HEADERS[name] for name, is_held in held.items() if is_held}
    return response


# ---- one document that needs no other -----------------------------------------------------------------------------


def _self_contained(described: dict[str, Any]) -> dict[str, Any]:
    """The document with the schemas that it refers to, and those that they refer to, under `components/schemas`."""
    schemas: dict[str, Any] = {}
    found = _moved(described, "", schemas)
    found["components"]["schemas"] = dict(sorted(schemas.items()))
    return found


def _moved(value: Any, file: str, schemas: dict[str, Any]) -> Any:
    """A copy whose references lead to components; what they lead to is put there. `file` is where the value stands."""
    if isinstance(value, list):
        return [_moved(item, file, schemas) for item in value]
    if not isinstance(value, dict):
        return value
    copy = {name: _moved(item, file, schemas) for name, item in value.items() if name not in ("$id", "$schema", "$defs")}
    if "x-item-schema" in value:
        copy["x-item-schema"] = f"#/components/schemas/{_component(value['x-item-schema'], file, schemas)}"
    if isinstance(value.get("$ref"), str):
        home, pointer, schema = _found(value["$ref"], file)
        if pointer.startswith("/properties/"):  # a field that another has, too, needs no name of its own
            return {**_moved(schema, home, schemas), **{name: item for name, item in copy.items() if name != "$ref"}}
        copy["$ref"] = f"#/components/schemas/{_component(value['$ref'], file, schemas)}"
    return copy


def _found(uri: str, file: str) -> tuple[str, str, Mapping[str, Any]]:
    """The file, the pointer and the schema of a reference such as `urn:...:job:v1`, `urn:...:common:v1#/$defs/jobId` or `#/$defs/bulk`."""
    address, _, pointer = uri.partition("#")
    file = schema_files.name_of(address) if address else file
    schema: Mapping[str, Any] = schema_files.schema(file)
    for token in pointer.split("/")[1:]:
        schema = schema[token]
    return file, pointer, schema


def _component(uri: str, file: str, schemas: dict[str, Any]) -> str:
    """The name of the component that a reference leads to; it is put among `schemas`."""
    file, pointer, schema = _found(uri, file)
    name = _name(file, pointer)
    if name not in schemas:
        schemas[name] = {}  # a schema may lead back to itself
        schemas[name] = _moved(schema, file, schemas)
    return name


def _name(file: str, pointer: str) -> str:
    """`job-request` -> JobRequest, `answers#/$defs/jobPage` -> JobPage, `wishes#/$defs/bulk` -> BulkWish."""
    last = pointer.rpartition("/")[2]
    words = re.split(r"[-./]", last if file in ("answers", "common", "wishes") else f"{file}-{last}" if last else file)
    return "".join(word[:1].upper() + word[1:] for word in words) + ("Wish" if file == "wishes" else "")

