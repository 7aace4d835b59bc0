"""What an operation takes and answers, as data: its door holds requests to it, and the OpenAPI document tells of it.

Schemas are named: `job` is the contract of that name, `answers#jobPage` a definition within one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from contracts.schema_files import URN

Schema = Mapping[str, Any]
JSON = "application/json"
PROBLEM = "application/problem+json"


def named(name: str) -> Schema:
    """The reference to a schema by its name."""
    file, _, part = name.partition("#")
    return {"$ref": f"{URN}{file}:v1#/$defs/{part}" if part else f"{URN}{file}:v1"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value of the query string, of a header or of the path. Of a list, the values are repeated, or joined by commas."""

    name: str
    description: str
    schema: Schema
    place: Literal["query", "header", "path"] = "query"

    @property
    def is_list(self) -> bool:
        return self.schema.get("type") == "array"


def text(name: str, description: str, place: Literal["query", "header", "path"] = "query", **more: Any) -> Parameter:
    """A parameter that is a text."""
    return Parameter(name, description, {"type": "string", **more}, place)


def whole(name: str, description: str, least: int, most: int, default: int | None = None) -> Parameter:
    """A whole number within bounds."""
    bounds = {"type": "integer", "minimum": least, "maximum": most}
    return Parameter(name, description, bounds if default is None else {**bounds, "default": default})


def several(name: str, description: str, items: Schema | None = None) -> Parameter:
    """A list of texts."""
    return Parameter(name, description, {"type": "array", "items": dict(items or {"type": "string"}), "maxItems": 100})


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body; `media` gives further content types with their schemas' names."""

    schema: str
    required: bool = True
    media: tuple[tuple[str, Schema], ...] = ()

    def content(self) -> dict[str, Schema]:
        return {**dict(self.media), JSON: named(self.schema)}


@dataclass(frozen=True, slots=True)
class Answer:
    """One that succeeds: the name of its schema (None: no JSON), its content type ("": no body), and whether it names a place."""

    schema: str | None = None
    media: str = JSON
    located: bool = False


LARGEST = 10**18 - 1
LIMIT = whole("limit", "How many at most.", 1, 500, 50)
CURSOR = text("cursor", "The `next_cursor` of the page before.")
PAGE = (LIMIT, CURSOR)
WAIT = Parameter("wait", "Answers when the job has ended, or after so many seconds.", {"type": "number", "minimum": 0, "maximum": 60})
IDEMPOTENCY_KEY = text("Idempotency-Key", "The same key with the same request is the same job.", "header", minLength=1, maxLength=256)
TRACEPARENT = text("traceparent", "W3C Trace Context: goes with the job to its last effect.", "header")
