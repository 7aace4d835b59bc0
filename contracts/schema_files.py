"""The schema and example files beside this module, read once each, when they are first asked for."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from contracts.errors import ConfigurationError

SCHEMAS = Path(__file__).parent / "schemas"
EXAMPLES = Path(__file__).parent / "examples"
RELEASED = Path(__file__).parent / "released" / "schemas"
URN = "urn:observatory:schema:"

_NAME = re.compile(r"[a-z0-9-]+(/[a-z0-9.-]+)?\Z")
_URN = re.compile(r"urn:observatory:schema:(task:)?([a-z0-9.-]+):v([1-9][0-9]*)\Z")


@cache
def names() -> tuple[str, ...]:
    """The name of every schema, sorted: its path below `schemas/` without `.json` (`job`, `events/job.queued.v1`)."""
    return tuple(sorted(path.relative_to(SCHEMAS).as_posix()[: -len(".json")] for path in SCHEMAS.rglob("*.json")))


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema of that name, shared: do not change it. Raises ConfigurationError when there is none."""
    found: dict[str, Any] = _read(SCHEMAS, name, "schema")
    return found


@cache
def released(name: str) -> dict[str, Any] | None:
    """The schema of that name as the last release had it, shared; None when it is newer."""
    try:
        found: dict[str, Any] = _read(RELEASED, name, "schema")
        return found
    except ConfigurationError:
        return None


def example(name: str) -> Any:
    """A fresh copy of the example of a schema, by the schema's name (of an event type: the whole CloudEvent)."""
    return _read(EXAMPLES, name, "example")


def schema_by_uri(uri: str) -> dict[str, Any]:
    """The schema with this `$id`. Raises ValueError for a foreign address: nothing is ever fetched."""
    return schema(name_of(uri))


def name_of(uri: str) -> str:
    """`urn:observatory:schema:job.queued:v1` -> `events/job.queued.v1`. Raises ValueError for a foreign address."""
    parts = _URN.match(uri)
    if parts is None:
        raise ValueError(f"{uri} is no schema of this system; put what it holds under $defs")
    task, name, version = parts.groups()
    if task:
        return f"tasks/{name}.v{version}"
    if "." in name:
        return f"events/{name}.v{version}"
    return name if version == "1" else f"{name}.v{version}"


def _read(folder: Path, name: str, kind: str) -> Any:
    try:
        return orjson.loads((folder / f"{_checked(name)}.json").read_bytes())
    except FileNotFoundError:
        raise ConfigurationError(f"There is no {kind} named {name!r}.") from None


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise ConfigurationError(f"There is no schema named {name!r}.")
    return name
