"""What goes to a worker and what comes back."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Assignment:
    """One claimed job for a worker. `effects` are the stored values of its `context.once` steps."""

    job_id: str
    lease_token: int
    attempt: int
    attempts_allowed: int
    type: str
    queue: str
    payload: Any
    timeout_seconds: float
    traceparent: str | None
    effects: dict[str, Any]

    @property
    def key(self) -> tuple[str, int]:
        return self.job_id, self.lease_token


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended.

    `kind`: succeeded | failed | permanent | timed_out | worker_died | snoozed | cancelled. `error` is
    {"type", "message", "traceback"} or None; `after_seconds` what Retry or Snooze asked for; `started_at` microseconds
    since the epoch by the pool's clock (the time of the end where the handler never began); `output` what it printed.
    """

    job_id: str
    lease_token: int
    kind: str
    result: Any
    error: dict[str, Any] | None
    after_seconds: float | None
    started_at: int
    ran_micros: int
    output: str | None
    worker: str
