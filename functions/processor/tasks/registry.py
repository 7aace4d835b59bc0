"""`@task`: how a function becomes a task, and where the tasks of this process are known."""

import inspect
import json
import re
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from contracts.catalogue import Catalogue, TaskDefinition
from contracts.errors import ConfigurationError
from contracts.job import Backoff
from functions.processor.tasks.annotations import Shape, shape_of_payload
from functions.processor.tasks.context import TaskContext
from functions.processor.tasks.schedules import declared_schedule

Handler = TypeVar("Handler", bound=Callable[..., Any])
TYPE_PATTERN = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+")
SHARED_SCHEMAS = Path(__file__).resolve().parents[3] / "contracts" / "schemas" / "tasks"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a task is tried and how long it waits in between: initial x factor^(n-1), at most maximum, times a
    random part of 1 when `jitter`."""

    max_attempts: int = 5
    initial_seconds: float = 2.0
    factor: float = 2.0
    maximum_seconds: float = 300.0
    jitter: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= 100:
            raise ConfigurationError(f"RetryPolicy: max_attempts must be 1 to 100, not {self.max_attempts}")
        if self.initial_seconds < 0 or self.factor < 1 or self.maximum_seconds < 0:
            raise ConfigurationError("RetryPolicy: seconds must not be negative, and factor must be 1 or more")

    def backoff(self) -> Backoff:
        return Backoff(self.initial_seconds, self.factor, self.maximum_seconds, self.jitter)


@dataclass(frozen=True, slots=True)
class Task:
    """A registered task: its public definition, and what runs it."""

    definition: TaskDefinition
    handler: Callable[..., Any]
    convert: Callable[[Any], Any] | None
    takes_context: bool
    is_async: bool

    def __call__(self, payload: Any, context: TaskContext) -> Any:
        """The handler's answer: its value, or a coroutine of it."""
        argument = payload if self.convert is None else self.convert(payload)
        return self.handler(argument, context) if self.takes_context else self.handler(argument)


@dataclass(slots=True)
class Registry:
    """The tasks of one process by type."""

    tasks: dict[str, Task] = field(default_factory=dict)

    def add(self, task: Task) -> None:
        """Takes a task in. Raises ConfigurationError when another module has its type."""
        definition = task.definition
        known = self.tasks.get(definition.type)
        if known is not None and _other(known.definition.module, definition.module):
            raise ConfigurationError(
                f"the task type {definition.type!r} is registered twice: in module {known.definition.module} and in module "
                f"{definition.module}; rename one of them"
            )
        self.tasks[definition.type] = task

    def get(self, task_type: str) -> Task | None:
        return self.tasks.get(task_type)

    def catalogue(self) -> Catalogue:
        return Catalogue(task.definition for task in self.tasks.values())


def _other(known: str, new: str) -> bool:
    return known != new and "__main__" not in (known, new)


REGISTRY = Registry()
SCHEMA_FILES: set[str] = set()
"""The schema files that were looked into."""


def task(
    type: str,
    *,
    schema: dict[str, Any] | str | None = None,
    queue: str = "default",
    timeout_seconds: float = 60,
    retry: RetryPolicy | None = None,
    version: int = 1,
    description: str | None = None,
    cron: str | None = None,
    timezone: str = "UTC",
    every: float | timedelta | None = None,
    scheduled_payload: dict[str, Any] | None = None,
    overlap: str = "skip",
    misfires: str = "one",
    priority: int = 4,
) -> Callable[[Handler], Handler]:
    """Registers a function `(payload)` or `(payload, context)`, plain or async, as the handler of a task type.

    `schema` is the payload's JSON Schema (draft 2020-12): a dict, a file name beside the module or under
    contracts/schemas/tasks, or, left out, made from the payload parameter's annotation. `description` is by default
    the first line of the docstring. `cron` (with `timezone`) or `every` (seconds or a timedelta) makes a schedule of the
    type's name, which submits `scheduled_payload` (by default an empty one) with the rules `overlap` and `misfires`. Raises
    ConfigurationError in plain words for what cannot be.
    """

    def register(handler: Handler) -> Handler:
        where = f"@task({type!r}) in module {handler.__module__}"
        _check_options(where, type=type, queue=queue, timeout_seconds=timeout_seconds, version=version, priority=priority)
        parameters = _parameters(handler, where)
        shape = _shape(handler, parameters[0], schema, where)
        policy = retry or RetryPolicy()
        schedule = declared_schedule(
            where, type, cron=cron, timezone=timezone, every=every, payload=scheduled_payload, overlap=overlap, misfires=misfires
        )
        definition = TaskDefinition(
            type=type,
            version=version,
            queue=queue,
            description=description if description is not None else _first_line(handler),
            schema=shape.schema,
            timeout_seconds=timeout_seconds,
            max_attempts=policy.max_attempts,
            backoff=policy.backoff().as_json(),
            priority=priority,
            cron=cron,
            module=handler.__module__,
            schedule=schedule,
        )
        is_async = inspect.iscoroutinefunction(handler)
        REGISTRY.add(Task(definition, handler, shape.convert, len(parameters) > 1, is_async))
        return handler

    return register


def _check_options(where: str, *, type: str, queue: str, timeout_seconds: float, version: int, priority: int) -> None:
    if not isinstance(type, str) or not TYPE_PATTERN.fullmatch(type) or len(type) > 100:
        raise ConfigurationError(f"{where}: a task type is lower-case words with at least one dot between them, such as 'report.monthly'")
    if not isinstance(queue, str) or not queue:
        raise ConfigurationError(f"{where}: queue must be the name of a queue")
    if not 0 < timeout_seconds <= 86_400:
        raise ConfigurationError(f"{where}: timeout_seconds must be above 0 and at most 86400, not {timeout_seconds}")
    if version < 1:
        raise ConfigurationError(f"{where}: version must be 1 or more, not {version}")
    if not 0 <= priority <= 9:
        raise ConfigurationError(f"{where}: priority must be 0 to 9 (9 first), not {priority}")


def _parameters(handler: Callable[..., Any], where: str) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(handler).parameters.values())
    needed = [p for p in parameters if p.default is inspect.Parameter.empty and p.kind not in _OPEN]
    if not parameters or any(p.kind not in kinds for p in needed) or len(needed) > 2 or parameters[0].kind not in kinds:
        raise ConfigurationError(f"{where}: a handler takes (payload) or (payload, context), not {_signature(handler)}")
    return [p for p in parameters[:2] if p.kind in kinds and (p in needed or p.name == "context" or p is parameters[0])]


_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _signature(handler: Callable[..., Any]) -> str:
    return f"{handler.__name__}{inspect.signature(handler)}"


def _shape(handler: Callable[..., Any], parameter: inspect.Parameter, schema: dict[str, Any] | str | None, where: str) -> Shape:
    annotation = _annotation(handler, parameter, where, needed=schema is None)
    if schema is None:
        shape = shape_of_payload(annotation, f"{where}: the payload parameter {parameter.name!r}")
        return Shape({"$schema": "https://json-schema.org/draft/2020-12/schema", **shape.schema}, shape.convert)
    document = _read_schema(handler, schema, where) if isinstance(schema, str) else schema
    if not isinstance(document, dict):
        raise ConfigurationError(f"{where}: its schema must be a JSON object or a file name, not {document!r}")
    return Shape(document, _conversion(annotation, f"{where}: the payload parameter {parameter.name!r}"))


def _conversion(annotation: Any, where: str) -> Callable[[Any], Any] | None:
    """Beside a schema of its own, a dataclass annotation still says what the handler gets."""
    from dataclasses import is_dataclass

    return shape_of_payload(annotation, where).convert if is_dataclass(annotation) else None


def _annotation(handler: Callable[..., Any], parameter: inspect.Parameter, where: str, needed: bool) -> Any:
    try:
        hints = typing.get_type_hints(handler, include_extras=True)
    except Exception as error:
        if not needed:
            return dict
        raise ConfigurationError(
            f"{where}: the annotations of {handler.__name__} cannot be read: {error}; define the payload's class at the top "
            "of the module, or give @task a schema"
        ) from None
    return hints.get(parameter.name, dict)


def _read_schema(handler: Callable[..., Any], name: str, where: str) -> Any:
    file = getattr(sys.modules.get(handler.__module__), "__file__", None)
    folders = ([Path(file).resolve().parent] if file else []) + [SHARED_SCHEMAS]
    for folder in folders:
        path = folder / name
        if path.is_file():
            SCHEMA_FILES.add(str(path))
            try:
                return json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ConfigurationError(f"{where}: its schema {path} is not valid JSON: {error}") from None
    raise ConfigurationError(f"{where}: its schema {name!r} is neither in {' nor in '.join(str(f) for f in folders)}")


def _first_line(handler: Callable[..., Any]) -> str:
    text = inspect.getdoc(handler) or ""
    return text.partition("\n")[0].strip()
