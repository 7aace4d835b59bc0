"""Every contract that the parts keep: event types, task types and documents, with their schemas, versions and differences."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from contracts import schema_files
from contracts.catalogue import Catalogue, TaskDefinition
from contracts.changes import changes
from contracts.errors import ConfigurationError, NotFound
from contracts.event_types import EVENT_TYPES, EventType

CHANGES = 50


def contracts(catalogue: Catalogue, refused: Mapping[str, int], lately: Mapping[str, int]) -> list[dict[str, Any]]:
    """Each with its versions, what differs from the one before, how many requests were `refused` ever and `lately`, by type."""
    tasks = [_task(task) | {"refused": refused.get(task.type, 0), "refused_lately": lately.get(task.type, 0)} for task in catalogue.definitions()]
    others = [_event(kind) for kind in EVENT_TYPES.values()], [_document(name) for name in schema_files.names() if "/" not in name]
    return [*others[0], *tasks, *others[1]]


def contract(catalogue: Catalogue, name: str) -> dict[str, Any]:
    """The schema of an event type (whole or short name), a task type or a document. Raises NotFound."""
    kind = event_type(name)
    if kind is not None:
        return schema_files.schema(_file_of(kind))
    if name in catalogue:
        return catalogue.get(name).schema
    try:
        return schema_files.schema(name)
    except ConfigurationError:
        raise NotFound(f"there is no contract {name[:100]}; /v1/contracts lists them") from None


def event_type(name: str) -> EventType | None:
    """The event type of a whole or short name; None when there is none."""
    return next((kind for kind in EVENT_TYPES.values() if name in (kind.name, kind.short)), None)


def _file_of(kind: EventType) -> str:
    return f"events/{kind.short}.v{kind.version}"


# ---- items ------------------------------------------------------------------------------------------------------


def _event(kind: EventType) -> dict[str, Any]:
    named_so = sorted((other for other in EVENT_TYPES.values() if other.short == kind.short), key=lambda other: other.version)
    before = next((_file_of(other) for other in reversed(named_so) if other.version < kind.version), None)
    return _item(kind.name, "event", kind.version, kind.description) | {
        "short": kind.short,
        "logged": kind.logged,
        "versions": [{"version": other.version, "url": _url(other.name)} for other in named_so],
        "differences": _differences(_file_of(kind), before),
    }


def _task(task: TaskDefinition) -> dict[str, Any]:
    """Of a task, the file that its schema came from was released; one whose schema stands in code has no history."""
    try:
        file = schema_files.name_of(task.schema.get("$id", ""))
    except ValueError:
        file = None
    return _item(task.type, "task", task.version, task.description) | {"differences": _differences(file, None) if file is not None else []}


def _document(name: str) -> dict[str, Any]:
    schema = schema_files.schema(name)
    version = int(schema["$id"].rpartition(":v")[2])
    return _item(name, "document", version, schema.get("description", "")) | {"differences": _differences(name, None)}


def _item(name: str, kind: str, version: int, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "version": version,
        "description": description,
        "url": _url(name),
        "versions": [{"version": version, "url": _url(name)}],
    }


def _url(name: str) -> str:
    return f"/v1/contracts/{name}"


@cache
def _differences(name: str, before: str | None) -> list[dict[str, Any]]:
    """From the version before, and from what was released, with the promises that the change would break."""
    found = []
    if before is not None:
        found.append(_difference(f"{before} to {name}", schema_files.schema(before), name, []))
    released = schema_files.released(name)
    if released is not None and released != schema_files.schema(name):
        from contracts.governance import taken_away

        broken = [f"{finding.place or 'the document'} {finding.message}" for finding in taken_away(name)]
        found.append(_difference("released to present", released, name, broken))
    return found


def _difference(between: str, before: dict[str, Any], name: str, breaks: list[str]) -> dict[str, Any]:
    listed = [change.as_json() for change in changes(before, schema_files.schema(name))]
    return {"between": between, "count": len(listed), "changes": listed[:CHANGES], "breaks": breaks}
