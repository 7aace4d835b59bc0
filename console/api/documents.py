"""The shapes of the JSON that the server answers (contracts/schemas holds them to the letter)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, TypedDict

BulkAction = Literal["cancel", "retry", "rerun", "replay", "discard"]


class Identified(Protocol):
    """Anything with a job's id: the handles of both clients."""

    id: str


class JobOptions(TypedDict, total=False):
    """Options of a submission. Instants are RFC 3339 texts with a zone or aware datetimes; jobs are ids or handles."""

    queue: str
    priority: int
    run_at: str | datetime | None
    delay_seconds: float
    timeout_seconds: float
    max_attempts: int
    unique_key: str
    tags: list[str]
    parent_id: str | Identified | None
    depends_on: Sequence[str | Identified]
    on_parent_failure: Literal["cancel", "run"]
    expires_at: str | datetime | None


class JobErrorDocument(TypedDict):
    type: str
    message: str
    traceback: str | None


class JobDocument(TypedDict, total=False):
    """A job, as contracts/schemas/job.json. Instants are RFC 3339 texts."""

    id: str
    type: str
    task_version: int
    queue: str
    priority: int
    status: str
    payload: Any
    result: Any
    error: JobErrorDocument | None
    attempt: int
    attempts_allowed: int
    max_attempts: int
    timeout_seconds: float
    lease_token: int
    lease_until: str | None
    worker: str | None
    cancel_requested_at: str | None
    progress: dict[str, Any] | None
    tags: list[str]
    unique_key: str | None
    parent_id: str | None
    root_id: str
    depends_on: list[str]
    open_parents: int
    on_parent_failure: str
    schedule: str | None
    backoff: dict[str, Any]
    actor: str
    source: str | None
    source_id: str | None
    traceparent: str | None
    created_at: str
    queued_at: str | None
    run_at: str | None
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    sequence: int
    why_waiting: str | None


class AttemptDocument(TypedDict, total=False):
    """One claim of a job."""

    job_id: str
    lease_token: int
    attempt: int
    worker: str
    instance: str
    claimed_at: str
    started_at: str | None
    finished_at: str | None
    outcome: str
    error: JobErrorDocument | None
    output_bytes: int


class EventDocument(TypedDict, total=False):
    """A CloudEvent in JSON format; `sequence` and `position` are numbers written as texts."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    sequence: str
    position: str
    actor: str
    data: dict[str, Any]


class PageDocument(TypedDict, total=False):
    """A page of any list."""

    items: list[Any]
    next_cursor: str | None
    as_of: Any
