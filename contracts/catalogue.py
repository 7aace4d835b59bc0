"""The catalogue: the public half of every task, as data. Whoever reads it never imports a handler."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.errors import ConfigurationError, UnknownTaskType

if TYPE_CHECKING:
    from contracts.schedule import ScheduleSpec
    from contracts.validation import PayloadSchema

FORMAT = 1


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """What a job of this type is by default. `schema` is the payload's JSON Schema, `backoff` as `Backoff.as_json()`,
    `cron` its schedule's cron expression or None, `module` where the handler stands (for people), `schedule` the schedule
    request that its declaration makes, or None."""

    type: str
    version: int
    queue: str
    description: str
    schema: dict[str, Any]
    timeout_seconds: float
    max_attempts: int
    backoff: dict[str, Any]
    priority: int
    cron: str | None
    module: str
    schedule: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "TaskDefinition":
        """The definition of a document made by `as_json`; fields that a later version added are passed over.

        Raises ConfigurationError when one is missing.
        """
        missing = [field.name for field in fields(cls) if field.name not in document and field.default is MISSING]
        if missing:
            raise ConfigurationError(f"a task of the catalogue lacks {', '.join(missing)}; make the catalogue anew")
        return cls(**{name: document[name] for name in _FIELDS if name in document})


_FIELDS = tuple(field.name for field in fields(TaskDefinition))


class Catalogue:
    """Every task type that is known, by its name."""

    def __init__(self, definitions: Iterable[TaskDefinition] = ()) -> None:
        self._definitions = {definition.type: definition for definition in definitions}
        self._schemas: dict[str, PayloadSchema] = {}
        self.generation = 0
        """Grows with each `take`."""

    def take(self, other: "Catalogue") -> None:
        """Becomes equal to another, so that whoever holds this one goes by the new tasks from now on."""
        self._definitions, self._schemas = dict(other._definitions), {}
        self.generation += 1

    def __len__(self) -> int:
        return len(self._definitions)

    def __contains__(self, task_type: object) -> bool:
        return task_type in self._definitions

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Catalogue) and self._definitions == other._definitions

    __hash__ = None  # type: ignore[assignment]  # it holds unhashable schemas

    def types(self) -> list[str]:
        """The type names, sorted."""
        return sorted(self._definitions)

    def definitions(self) -> list[TaskDefinition]:
        """Every definition, sorted by type."""
        return [self._definitions[name] for name in self.types()]

    def get(self, task_type: str) -> TaskDefinition:
        """The definition of a type. Raises UnknownTaskType, which names the nearest known types."""
        try:
            return self._definitions[task_type]
        except KeyError:
            raise UnknownTaskType(self._unknown(task_type)) from None

    def _unknown(self, task_type: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(task_type, self._definitions, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(self.types()) or 'none'}."
        return f"no task of type {task_type!r} is known. {hint} OBSERVATORY_TASKS names the modules of further tasks."

    def payload_schema(self, task_type: str) -> "PayloadSchema":
        """The compiled payload schema of a type, made on first use. Raises UnknownTaskType."""
        compiled = self._schemas.get(task_type)
        if compiled is None:
            from contracts.validation import PayloadSchema

            compiled = self._schemas[task_type] = PayloadSchema(self.get(task_type).schema)
        return compiled

    def schedules(self) -> "dict[str, ScheduleSpec]":
        """The schedules that tasks declare, by name: the type's own."""
        from contracts.schedule import CODE
        from contracts.schedule_request import spec_of

        return {task.type: spec_of(task.schedule, CODE) for task in self.definitions() if task.schedule is not None}

    def as_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "tasks": [definition.as_json() for definition in self.definitions()]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Catalogue":
        """The catalogue of a document made by `as_json`. Raises ConfigurationError for anything else."""
        if not isinstance(document, Mapping) or not isinstance(document.get("tasks"), list):
            raise ConfigurationError('a catalogue is a JSON object with a list "tasks"')
        if document.get("format") != FORMAT:
            raise ConfigurationError(f"the catalogue has format {document.get('format')!r}; this version reads {FORMAT}")
        return cls(TaskDefinition.from_json(entry) for entry in document["tasks"])

    def dump(self, path: str | Path) -> None:
        """Writes the catalogue as JSON text."""
        Path(path).write_text(dump_text(self), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Catalogue":
        """Reads what `dump` or `python -m functions.processor.tasks.collect` wrote. Raises ConfigurationError."""
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls.from_json(document)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"the catalogue {path} cannot be read: {error}") from error
        except ConfigurationError as error:
            raise ConfigurationError(f"the catalogue {path}: {error.message}") from error


def dump_text(catalogue: Catalogue) -> str:
    """The catalogue as readable JSON text with sorted keys."""
    return json.dumps(catalogue.as_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
