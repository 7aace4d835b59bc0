"""The job, its states, and the one table of moves that every store, screen and checker reads."""

from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple

from contracts import event_types as types
from contracts.times import optional_rfc3339, to_rfc3339


class JobStatus(StrEnum):
    WAITING = "waiting"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})
LIVE = tuple(status for status in JobStatus if status not in TERMINAL)


class Move(NamedTuple):
    """One allowed step: from a state (None: not there yet) to a state, told by an event type."""

    origin: JobStatus | None
    target: JobStatus
    event_type: str


_W, _S, _Q, _R = JobStatus.WAITING, JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.RUNNING
_Y, _OK, _F, _C = JobStatus.RETRYING, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED

MOVES: frozenset[Move] = frozenset(
    {
        *(Move(None, state, types.JOB_ACCEPTED) for state in (_W, _S, _Q)),
        Move(_W, _Q, types.JOB_QUEUED),
        Move(_W, _S, types.JOB_SCHEDULED),
        Move(_S, _Q, types.JOB_QUEUED),
        Move(_Y, _Q, types.JOB_QUEUED),
        # announcements: the state was entered by another event of the same transaction
        Move(_Q, _Q, types.JOB_QUEUED),
        Move(_S, _S, types.JOB_SCHEDULED),
        Move(_Q, _R, types.JOB_STARTED),
        Move(_R, _R, types.JOB_PROGRESSED),
        Move(_R, _R, types.JOB_CANCELREQUESTED),
        Move(_R, _OK, types.JOB_SUCCEEDED),
        Move(_R, _Y, types.JOB_RETRYING),
        Move(_R, _S, types.JOB_RELEASED),
        Move(_R, _Q, types.JOB_RELEASED),
        Move(_R, _F, types.JOB_FAILED),
        *(Move(state, _C, types.JOB_CANCELLED) for state in LIVE),
        Move(_F, _Q, types.JOB_REOPENED),
        Move(_C, _Q, types.JOB_REOPENED),
    }
)


def is_allowed(origin: str | None, target: str, event_type: str) -> bool:
    """Whether the table holds this move; plain strings are taken too."""
    return (origin, target, event_type) in MOVES


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: attempt n waits a random part of min(initial x factor^(n-1), maximum).

    (Full jitter: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)
    """

    initial_seconds: float = 2.0
    factor: float = 2.0
    maximum_seconds: float = 300.0
    jitter: bool = True

    def delay_seconds(self, attempt: int, random: float) -> float:
        """Seconds before the attempt after `attempt` (1 for the first); `random` is uniform in [0, 1)."""
        bound = min(self.initial_seconds * self.factor ** min(attempt - 1, 64), self.maximum_seconds)
        return bound * random if self.jitter else bound

    def as_json(self) -> dict[str, Any]:
        return {
            "initial_seconds": self.initial_seconds,
            "factor": self.factor,
            "maximum_seconds": self.maximum_seconds,
            "jitter": self.jitter,
        }


@dataclass(slots=True)
class Job:
    """A job as its store keeps it. Instants (`_at`, `lease_until`) are microseconds since the epoch, UTC.

    `attempt` counts the attempts begun (a release gives one back); `lease_token` counts the claims and never goes
    back; `sequence` is the number of the last event of the stream `job/ID`.
    """

    id: str
    type: str
    task_version: int
    queue: str
    priority: int
    status: str
    payload: Any
    max_attempts: int
    attempts_allowed: int
    timeout_seconds: float
    created_at: int
    backoff: dict[str, Any]
    actor: str
    root_id: str
    on_parent_failure: str = "cancel"
    result: Any = None
    error: dict[str, Any] | None = None
    attempt: int = 0
    lease_token: int = 0
    lease_until: int | None = None
    worker: str | None = None
    cancel_requested_at: int | None = None
    cancel_actor: str | None = None
    cancel_reason: str | None = None
    progress: dict[str, Any] | None = None
    tags: list[str] = field(default_factory=list)
    unique_key: str | None = None
    parent_id: str | None = None
    depends_on: list[str] = field(default_factory=list)
    open_parents: int = 0
    schedule: str | None = None
    source: str | None = None
    source_id: str | None = None
    traceparent: str | None = None
    queued_at: int | None = None
    run_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    expires_at: int | None = None
    sequence: int = 0

    @property
    def stream(self) -> str:
        return f"job/{self.id}"

    def as_json(self) -> dict[str, Any]:
        """The job as `schemas/job.json` has it, unredacted."""
        return {
            "id": self.id,
            "type": self.type,
            "task_version": self.task_version,
            "queue": self.queue,
            "priority": self.priority,
            "status": self.status,
            "payload": self.payload,
            "result": self.result,
            "error": self.error,
            "attempt": self.attempt,
            "attempts_allowed": self.attempts_allowed,
            "max_attempts": self.max_attempts,
            "timeout_seconds": self.timeout_seconds,
            "lease_token": self.lease_token,
            "lease_until": optional_rfc3339(self.lease_until),
            "worker": self.worker,
            "cancel_requested_at": optional_rfc3339(self.cancel_requested_at),
            "progress": self.progress,
            "tags": self.tags,
            "unique_key": self.unique_key,
            "parent_id": self.parent_id,
            "root_id": self.root_id,
            "depends_on": self.depends_on,
            "open_parents": self.open_parents,
            "on_parent_failure": self.on_parent_failure,
            "schedule": self.schedule,
            "backoff": self.backoff,
            "actor": self.actor,
            "source": self.source,
            "source_id": self.source_id,
            "traceparent": self.traceparent,
            "created_at": to_rfc3339(self.created_at),
            "queued_at": optional_rfc3339(self.queued_at),
            "run_at": optional_rfc3339(self.run_at),
            "started_at": optional_rfc3339(self.started_at),
            "finished_at": optional_rfc3339(self.finished_at),
            "expires_at": optional_rfc3339(self.expires_at),
            "sequence": self.sequence,
        }


JOB_FIELDS: tuple[str, ...] = tuple(Job.__dataclass_fields__)
JSON_FIELDS = frozenset({"payload", "result", "error", "progress", "tags", "depends_on", "backoff"})
job_values = attrgetter(*JOB_FIELDS)


@dataclass(slots=True)
class JobRequest:
    """A checked submission, every default filled in: what a store turns into a job. Not frozen, only for the cost of that.

    `keys` are the idempotency keys it is known by (`ce:` + source and id, `key:` + Idempotency-Key), `fingerprint` the
    SHA-256 of the request as sent, `cause` the client's event. Instants are microseconds since the epoch.
    """

    type: str
    payload: Any
    task_version: int = 1
    queue: str = "default"
    priority: int = 4
    max_attempts: int = 5
    timeout_seconds: float = 60.0
    backoff: dict[str, Any] = field(default_factory=lambda: Backoff().as_json())
    run_at: int | None = None
    expires_at: int | None = None
    unique_key: str | None = None
    tags: list[str] = field(default_factory=list)
    parent_id: str | None = None
    depends_on: list[str] = field(default_factory=list)
    on_parent_failure: str = "cancel"
    actor: str = "anonymous"
    source: str | None = None
    source_id: str | None = None
    traceparent: str | None = None
    cause: str | None = None
    keys: tuple[str, ...] = ()
    fingerprint: bytes = b""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of a job, as it ended: kept for good with what the handler printed. Instants in microseconds."""

    job_id: str
    lease_token: int
    attempt: int
    worker: str
    instance: str
    claimed_at: int
    started_at: int | None
    finished_at: int | None
    outcome: str  # running | succeeded | failed | permanent | timed_out | lease_lost | worker_died | released | cancelled
    error: dict[str, Any] | None
    output: str | None

    def as_json(self) -> dict[str, Any]:
        return {
            "job_id": self.job_id,
            "lease_token": self.lease_token,
            "attempt": self.attempt,
            "worker": self.worker,
            "instance": self.instance,
            "claimed_at": to_rfc3339(self.claimed_at),
            "started_at": optional_rfc3339(self.started_at),
            "finished_at": optional_rfc3339(self.finished_at),
            "outcome": self.outcome,
            "error": self.error,
            "output_bytes": len(self.output.encode()) if self.output else 0,
        }
