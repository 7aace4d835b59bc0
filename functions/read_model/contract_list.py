"""Every contract that the parts keep: event types, task types and documents, with their schemas."""

from typing import Any

from contracts import schema_files
from contracts.catalogue import Catalogue, TaskDefinition
from contracts.errors import ConfigurationError, NotFound
from contracts.event_types import EVENT_TYPES, EventType


def contracts(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Each with its name, kind, version and the address of its schema."""
    return [*map(_event, EVENT_TYPES.values()), *map(_task, catalogue.definitions()), *map(_document, _document_names())]


def contract(catalogue: Catalogue, name: str) -> dict[str, Any]:
    """The schema of an event type (whole or short name), a task type or a document. Raises NotFound."""
    for kind in EVENT_TYPES.values():
        if name in (kind.name, kind.short):
            return schema_files.schema(f"events/{kind.short}.v{kind.version}")
    if name in catalogue:
        return catalogue.get(name).schema
    try:
        return schema_files.schema(name)
    except ConfigurationError:
        raise NotFound(f"there is no contract {name[:100]}; /v1/contracts lists them") from None


def _document_names() -> list[str]:
    return [name for name in schema_files.names() if "/" not in name]


def _event(kind: EventType) -> dict[str, Any]:
    return {
        "name": kind.name,
        "kind": "event",
        "version": kind.version,
        "description": kind.description,
        "short": kind.short,
        "logged": kind.logged,
        "url": f"/v1/contracts/{kind.name}",
    }


def _task(task: TaskDefinition) -> dict[str, Any]:
    return {
        "name": task.type,
        "kind": "task",
        "version": task.version,
        "description": task.description,
        "url": f"/v1/contracts/{task.type}",
    }


def _document(name: str) -> dict[str, Any]:
    schema = schema_files.schema(name)
    return {
        "name": name,
        "kind": "document",
        "version": int(schema["$id"].rpartition(":v")[2]),
        "description": schema.get("description", ""),
        "url": f"/v1/contracts/{name}",
    }
