"""What a handler is given, and what it may raise."""

import logging
import math
import threading
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any, Protocol, TypeVar, overload

from contracts import strict_json

Value = TypeVar("Value")


class Retry(Exception):
    """Raised by a handler: this attempt failed, try again `after` seconds (without it: by the task's backoff)."""

    def __init__(self, after: float | None = None, message: str = "the handler asked for another attempt") -> None:
        super().__init__(message)
        self.after = None if after is None else _seconds("after", after)


class Snooze(Exception):
    """Raised by a handler: not now, run me again in `seconds`. Burns no attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"snoozed for {seconds:g} seconds")
        self.seconds = _seconds("seconds", seconds)


class Permanent(Exception):
    """Raised by a handler: no further attempt will help."""

    def __init__(self, reason: str = "the handler gave up") -> None:
        super().__init__(reason)


class JobCancelled(BaseException):
    """Raised by `context.check_cancelled()`. No Exception, so that a handler's `except Exception` lets it through."""


def _seconds(name: str, value: float) -> float:
    seconds = float(value)
    if not 0 <= seconds <= 366 * 86_400:
        raise ValueError(f"{name} must be between 0 seconds and a year, not {value!r}")
    return seconds


class Link(Protocol):
    """The way from a handler to whoever runs it."""

    def cancelled(self) -> bool: ...

    def progress(self, fraction: float | None, message: str | None) -> None: ...

    def store(self, step: str, value: bytes) -> bytes:
        """Stores a step's JSON value, fenced, and gives back what is stored. Raises LeaseLost."""
        ...


class TaskContext:
    """One attempt, as its handler sees it."""

    __slots__ = (
        "_effects", "_link", "_lock",
        "attempt", "attempts_allowed", "job_id", "lease_token", "queue", "traceparent", "type",
    )  # fmt: skip

    def __init__(
        self,
        link: Link,
        *,
        job_id: str,
        lease_token: int,
        attempt: int,
        attempts_allowed: int,
        type: str,
        queue: str,
        traceparent: str | None,
        effects: dict[str, Any],
    ) -> None:
        self._link = link
        self._effects = effects
        self._lock = threading.Lock()
        self.job_id = job_id
        self.lease_token = lease_token
        self.attempt = attempt
        self.attempts_allowed = attempts_allowed
        self.type = type
        self.queue = queue
        self.traceparent = traceparent

    @property
    def logger(self) -> logging.Logger:
        """A logger whose lines are kept with the attempt."""
        return logging.getLogger(f"observatory.task.{self.type}")

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to cancel this job. The handler then has 5 seconds to end by itself."""
        return self._link.cancelled()

    def check_cancelled(self) -> None:
        """Ends the handler here when the job is to be cancelled."""
        if self.cancelled:
            raise JobCancelled("the handler stopped because its job is cancelled")

    def progress(self, fraction: float | None = None, message: str | None = None) -> None:
        """Says how far the job is: a part of 1, a text, or both. Cheap to call often: at most one event a second is
        made, and the last one is always kept."""
        if fraction is not None:
            fraction = float(fraction)
            if math.isnan(fraction):
                raise ValueError("fraction is not a number")
            fraction = min(max(fraction, 0.0), 1.0)
        self._link.progress(fraction, None if message is None else str(message)[:500])

    def key(self, step: str) -> str:
        """A name for one step of this job, the same in every attempt: hand it to others as their idempotency key."""
        return f"{self.job_id}/{step}"

    @overload
    def once(self, step: str, fn: Callable[[], Awaitable[Value]]) -> Awaitable[Value]: ...

    @overload
    def once(self, step: str, fn: Callable[[], Value]) -> Value: ...

    def once(self, step: str, fn: Callable[[], Any]) -> Any:
        """The value of `fn`, computed once a job: it is stored, fenced, and a later attempt gets it back.

        The value must be JSON; what comes back is always the value as JSON has it (a tuple is a list). With an
        `async def` function the answer is awaitable. Between the end of `fn` and the store's commit lies a moment in
        which a crash repeats `fn`: hand `key(step)` to whoever `fn` calls. Raises LeaseLost when this attempt no
        longer owns the job.
        """
        if not isinstance(step, str) or not 0 < len(step) <= 200:
            raise ValueError("a step's name is a text of 1 to 200 characters")
        if iscoroutinefunction(fn):
            return self._once_awaited(step, fn)
        if step not in self._effects:
            self._keep(step, fn())
        return self._effects[step]

    async def _once_awaited(self, step: str, fn: Callable[[], Awaitable[Any]]) -> Any:
        if step not in self._effects:
            self._keep(step, await fn())
        return self._effects[step]

    def _keep(self, step: str, value: Any) -> None:
        text = json_text(value, f"the value of step {step!r}")
        with self._lock:
            self._effects[step] = strict_json.loads(self._link.store(step, text))


class NotJson(Permanent):
    """A handler's value that JSON cannot hold, or that is too large."""


MAX_RESULT_BYTES = 1 << 20


def json_text(value: Any, what: str) -> bytes:
    """Canonical JSON of a handler's value. Raises NotJson: what no JSON is, not finite, or over 1 MiB."""
    try:
        text = strict_json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson(f"{what} is not JSON: {error}") from None
    if len(text) > MAX_RESULT_BYTES:
        raise NotJson(f"{what} is {len(text):,} bytes of JSON; at most {MAX_RESULT_BYTES:,} are kept")
    if b"null" in text and (bad := _not_finite(value)) is not None:
        raise NotJson(f"{what} is not JSON: it holds {bad!r}, which JSON cannot say")
    return text


def _not_finite(value: Any) -> float | None:
    """A NaN or an infinity in a value; the JSON writer turns them into null silently."""
    if isinstance(value, float):
        return None if math.isfinite(value) else value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    for item in items:
        if (bad := _not_finite(item)) is not None:
            return bad
    return None
