"""One attempt, run in the process that is meant for it."""

import json
import os
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from contracts.errors import ObservatoryError
from functions.processor.tasks.context import JobCancelled, Link, NotJson, Permanent, Retry, Snooze, TaskContext, json_text
from functions.processor.tasks.registry import Registry, Task

if TYPE_CHECKING:
    import asyncio

MAX_MESSAGE = 4_000
MAX_TRACEBACK = 16_000
_OWN_FILES = (__file__, str(Path(os.__file__).parent / "asyncio"))
_FLAT = (str, int, float, bool, type(None))


class Body(NamedTuple):
    """What of an assignment goes to the worker."""

    job_id: str
    lease_token: int
    attempt: int
    attempts_allowed: int
    type: str
    queue: str
    payload: Any
    traceparent: str | None
    effects: dict[str, Any]


class Ending(NamedTuple):
    """How a handler ended; `kind`, `error` and `after_seconds` as in Outcome."""

    kind: str
    result: Any
    error: dict[str, Any] | None
    after_seconds: float | None
    begun_micros: int  # monotonic
    ran_micros: int


class Runner:
    """Runs attempts one after another; `async` handlers share one event loop."""

    def __init__(self, registry: Registry, link: Link) -> None:
        self._registry = registry
        self._link = link
        self._loop: asyncio.Runner | None = None

    def run(self, body: Body) -> Ending:
        """Runs one handler to its end, whatever it does, except where it takes the process down."""
        begun = time.monotonic_ns()
        try:
            kind, result, error, after = self._outcome(body)
        except BaseException as fault:  # what wording the fault itself raised (a __str__ that fails)
            kind, result, error, after = "failed", None, _plain_error(type(fault).__name__), None
        return Ending(kind, result, error, after, begun // 1000, (time.monotonic_ns() - begun) // 1000)

    def _outcome(self, body: Body) -> tuple[str, Any, dict[str, Any] | None, float | None]:
        try:
            task = self._registry.tasks.get(body.type)
            if task is None:
                message = f"this processor has no handler for {body.type!r}; OBSERVATORY_TASKS names the modules that it imports"
                return "failed", None, {"type": "UnknownTaskType", "message": message, "traceback": None}, None
            return "succeeded", as_json(self._value(task, body)), None, None
        except Retry as fault:
            return "failed", None, describe(fault), fault.after
        except Snooze as fault:
            return "snoozed", None, None, fault.seconds
        except NotJson as fault:
            return "permanent", None, {"type": "ResultNotJson", "message": clean(str(fault)), "traceback": None}, None
        except Permanent as fault:
            return "permanent", None, describe(fault), None
        except JobCancelled as fault:
            return "cancelled", None, {"type": "JobCancelled", "message": str(fault), "traceback": None}, None
        except SystemExit as fault:
            error = describe(fault)
            error["message"] = clean(f"the handler ended itself by sys.exit({fault.code!r}); it should return or raise")
            return "failed", None, error, None
        except BaseException as fault:
            return "failed", None, describe(fault), None

    def _value(self, task: Task, body: Body) -> Any:
        context = TaskContext(
            self._link,
            job_id=body.job_id,
            lease_token=body.lease_token,
            attempt=body.attempt,
            attempts_allowed=body.attempts_allowed,
            type=body.type,
            queue=body.queue,
            traceparent=body.traceparent,
            effects=body.effects,
        )
        value = task(body.payload, context)
        if not task.is_async:
            return value
        if self._loop is None:
            import asyncio

            self._loop = asyncio.Runner()
        return self._loop.run(value)


def as_json(value: Any) -> Any:
    """A handler's value as JSON has it. Raises NotJson."""
    if value is None:
        return None
    text = json_text(value, "the handler's result")
    if type(value) is dict and all(type(key) is str and type(item) in _FLAT for key, item in value.items()):
        return value
    return value if type(value) in _FLAT else json.loads(text)


def describe(error: BaseException) -> dict[str, Any]:
    """{"type", "message", "traceback"} of an exception: the traceback from the handler's own frames on."""
    try:
        message = error.message if isinstance(error, ObservatoryError) else str(error)
    except Exception as fault:
        message = f"(its text cannot be had: {type(fault).__name__})"
    return {"type": type(error).__name__, "message": clean(message), "traceback": _traceback(error)}


def _plain_error(name: str) -> dict[str, Any]:
    return {"type": name, "message": "the handler raised an error that cannot be put into words", "traceback": None}


def clean(text: str, limit: int = MAX_MESSAGE) -> str:
    """Text that every store and screen takes: no lone surrogates, no NUL, bounded."""
    text = text if len(text) <= limit else f"{text[: limit // 2]}\n[... {len(text) - limit:,} characters cut ...]\n{text[-limit // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\ufffd")


def _traceback(error: BaseException) -> str:
    start = error.__traceback__
    while start is not None and start.tb_frame.f_code.co_filename.startswith(_OWN_FILES):
        start = start.tb_next
    lines = traceback.format_exception(type(error), error, _in_handler(start, error), limit=-50)
    return clean("".join(lines), MAX_TRACEBACK)


def _in_handler(start: TracebackType | None, error: BaseException) -> TracebackType | None:
    """From the first frame of the handler itself: the call in registry.py is ours, not the user's."""
    while start is not None and start.tb_next is not None and start.tb_frame.f_code is Task.__call__.__code__:
        start = start.tb_next
    return start or error.__traceback__
