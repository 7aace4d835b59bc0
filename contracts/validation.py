"""Whether a document keeps its contract, decided by compiled schemas in microseconds.

Each schema is compiled when it is first used, so a cold start pays for its own alone. What is refused is read again by
`contracts.wording`, which names every fault.
"""

from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from typing import Any

import jsonschema_rs

from contracts.errors import ConfigurationError, ContractViolation, Fault, UnknownEventType
from contracts.event import Event
from contracts.event_types import EVENT_TYPES, PREFIX, EventType
from contracts.redaction import has_secrets, redact
from contracts.schema_files import URN, example, names, schema, schema_by_uri

__all__ = [
    "DIALECT",
    "PayloadSchema",
    "event_schema_name",
    "example",
    "faults",
    "has_secrets",
    "names",
    "redact",
    "schema",
    "validate",
    "validate_event",
    "validate_job_batch",
    "validate_job_batch_item",
    "validate_job_request",
]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_Verdict = Callable[[Any], bool]


class _Compiled:
    """A schema and the compiled verdict on it."""

    __slots__ = ("accepts", "schema")

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        self.accepts: _Verdict = jsonschema_rs.Draft202012Validator(schema, validate_formats=True, retriever=schema_by_uri).is_valid

    def faults(self, document: Any) -> list[Fault]:
        return [] if _is_accepted(self.accepts, document) else _worded(self.schema, document)


class PayloadSchema:
    """The schema of a task type's payload, compiled. Raises ConfigurationError when it is no usable schema."""

    __slots__ = ("_compiled", "has_secrets", "schema")

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        self._compiled = _usable(schema)
        self.has_secrets = has_secrets(schema)

    def check(self, payload: Any, prefix: str = "") -> None:
        """Raises ContractViolation with every fault; `prefix` is the pointer of the payload, such as "/payload"."""
        if not _is_accepted(self._compiled.accepts, payload):
            raise _violation("payload", self.schema, payload, prefix)

    def redact(self, payload: Any) -> Any:
        """The payload with `"[redacted]"` for each secret; the payload itself when there is none."""
        return redact(self.schema, payload) if self.has_secrets else payload


def validate_event(event: Event) -> None:
    """Checks an event's envelope and the data of its type.

    Events of the log keep `logged-event.json`, a `job.requested` the plain envelope and the job request. Of foreign
    types only the envelope is checked. Raises ContractViolation, pointers from the root of the event's document; raises
    UnknownEventType for a type of ours that does not exist.
    """
    if event.checked:
        return
    document = event.document
    try:
        compiled = _EVENTS[document["type"]]
    except (KeyError, TypeError):
        compiled = _event_schema(document.get("type"))
    if not _is_accepted(compiled.accepts, document):
        raise _violation("event", compiled.schema, document)
    event.mark_checked()


def validate_job_request(document: Any, prefix: str = "") -> None:
    """Checks a job request against `job-request.json`. Raises ContractViolation."""
    validate("job-request", document, prefix)


def validate_job_batch(document: Any) -> None:
    """Checks the frame of a batch, not its items: those are answered one by one. Raises ContractViolation."""
    validate("job-batch", document)


def validate_job_batch_item(document: Any, prefix: str = "") -> None:
    """Checks one item of a batch against `job-batch-item.json`. Raises ContractViolation."""
    validate("job-batch-item", document, prefix)


def validate(name: str, document: Any, prefix: str = "") -> None:
    """Checks a document against a schema by its name (`wishes#bulk`: a definition within it).

    Raises ContractViolation; `prefix` is put before its pointers.
    """
    compiled = _named(name)
    if not _is_accepted(compiled.accepts, document):
        raise _violation(compiled.schema.get("title", name).lower(), compiled.schema, document, prefix)


def faults(schema: str | dict[str, Any], document: Any) -> list[Fault]:
    """Every fault of a document under a schema, given by name or as it is; empty when it keeps it."""
    return (_named(schema) if isinstance(schema, str) else _usable(schema)).faults(document)


def event_schema_name(event_type: str) -> str:
    """The name of the schema of an event type's data: `events/job.queued.v1`. Raises UnknownEventType."""
    kind = _known(event_type)
    return f"events/{kind.short}.v{kind.version}"


def _is_accepted(accepts: _Verdict, document: Any) -> bool:
    try:
        return accepts(document)
    except ValueError:  # no JSON value: a lone surrogate, a key that is no string, nesting without end
        return False


@cache
def _named(name: str) -> _Compiled:
    file, _, part = name.partition("#")
    return _Compiled({"title": part, "$ref": f"{URN}{file}:v1#/$defs/{part}"} if part else schema(file))


def _usable(schema: dict[str, Any]) -> _Compiled:
    if not isinstance(schema, dict):
        raise ConfigurationError(f"A schema must be a JSON object, not {type(schema).__name__}.")
    if schema.get("$schema", DIALECT).rstrip("#") != DIALECT:
        raise ConfigurationError(f"Only JSON Schema draft 2020-12 is read: set $schema to {DIALECT!r}, or drop it.")
    try:
        return _Compiled(schema)
    except ValueError as error:
        raise ConfigurationError(f"This is no usable JSON Schema: {_first_line(error)}") from error


def _first_line(error: ValueError) -> str:
    place = "/".join(str(token) for token in getattr(error, "instance_path", ()))
    return f"{str(error).splitlines()[0]}{f' (at /{place})' if place else ''}"


_EVENTS: dict[str, _Compiled] = {}


def _event_schema(event_type: Any) -> _Compiled:
    if not isinstance(event_type, str) or not event_type.startswith(PREFIX):
        return _named("event-envelope")
    kind = _known(event_type)
    _EVENTS[event_type] = _Compiled(_whole_event(kind))
    return _EVENTS[event_type]


def _known(event_type: str) -> EventType:
    kind = EVENT_TYPES.get(event_type)
    if kind is None:
        close = get_close_matches(event_type[:200], EVENT_TYPES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UnknownEventType(f"There is no event type {event_type[:200]}{hint}", faults=[Fault("/type", f"is no known event type{hint}")])
    return kind


def _whole_event(kind: EventType) -> dict[str, Any]:
    """Envelope and data of a type in one schema, so that one pass decides."""
    log = f"{URN}logged-event:v1"
    frame = [log, f"{log}#/$defs/{kind.noun}"] if kind.logged else [f"{URN}event-envelope:v1"]
    return {
        "$schema": DIALECT,
        "$id": f"urn:observatory:event:{kind.short}:v{kind.version}",
        "allOf": [{"$ref": uri} for uri in frame],
        "required": ["data"],
        "properties": {"type": {"const": kind.name}, "data": {"$ref": f"{URN}{kind.short}:v{kind.version}"}},
    }


def _worded(schema: dict[str, Any], document: Any) -> list[Fault]:
    from contracts import wording  # jsonschema costs a cold start more than all of this

    return wording.list_faults(schema, document)


def _violation(what: str, schema: dict[str, Any], document: Any, prefix: str = "") -> ContractViolation:
    found = [Fault(prefix + fault.pointer, fault.message) for fault in _worded(schema, document)]
    return ContractViolation(f"The {what} breaks its schema.", faults=found)
