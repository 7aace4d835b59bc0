"""Runs one handler here and now, without a queue: what it prints goes where this process prints."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from functions.processor.assignments import Outcome
from functions.processor.attempt import Body, Runner
from functions.processor.tasks.collect import collect
from functions.processor.tasks.registry import REGISTRY

OnProgress = Callable[[float | None, str | None], None]


class Foreground:
    """A handler's link to nobody: nothing cancels it, and its `context.once` values live as long as the call."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress

    def cancelled(self) -> bool:
        return False

    def progress(self, fraction: float | None, message: str | None) -> None:
        self._on_progress(fraction, message)

    def store(self, step: str, value: bytes) -> bytes:
        return value


def run_once(
    task_type: str,
    payload: Any,
    modules: Sequence[str] = (),
    *,
    job_id: str = "foreground",
    attempt: int = 1,
    traceparent: str | None = None,
    on_progress: OnProgress = lambda fraction, message: None,
) -> Outcome:
    """The outcome of one attempt of a handler, run in this process; its timeout does not apply, and `output` is None.

    Raises UnknownTaskType, ContractViolation for a payload that breaks its schema, and ConfigurationError for a task
    module that cannot be used.
    """
    catalogue = collect(modules)
    definition = catalogue.get(task_type)
    catalogue.payload_schema(task_type).check(payload)
    body = Body(job_id, 1, attempt, max(attempt, definition.max_attempts), task_type, definition.queue, payload, traceparent, {})
    started_at = time.time_ns() // 1000
    ending = Runner(REGISTRY, Foreground(on_progress)).run(body)
    return Outcome(
        job_id=job_id,
        lease_token=1,
        kind=ending.kind,
        result=ending.result,
        error=ending.error,
        after_seconds=ending.after_seconds,
        started_at=started_at,
        ran_micros=ending.ran_micros,
        output=None,
        worker="foreground",
    )
