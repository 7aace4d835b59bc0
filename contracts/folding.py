"""A job and its attempts from their events alone: what the table must say if the log is right. Pure.

A stream is folded in the order of its sequence. `lease_until` is no part of the log, and `open_parents` only at the
beginning (a parent's end is told in the parent's stream): both are left out of comparisons.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.job import JOB_FIELDS, TERMINAL, Job
from contracts.times import from_rfc3339

Document = Mapping[str, Any]
COMPARED = tuple(name for name in JOB_FIELDS if name not in ("lease_until", "open_parents"))
COMPARED_ATTEMPT = ("attempt", "claimed_at", "finished_at", "outcome", "error")
_ENDED = frozenset(str(status) for status in TERMINAL)
_ACCEPTED = (
    "type", "task_version", "queue", "priority", "payload", "max_attempts", "attempts_allowed", "timeout_seconds", "backoff", "tags", "unique_key",
    "parent_id", "root_id", "depends_on", "open_parents", "on_parent_failure", "schedule", "source", "source_id",
)  # fmt: skip


@dataclass(slots=True)
class FoldedAttempt:
    """A claim, as far as the log tells it; `outcome` is running until its end is told."""

    lease_token: int
    attempt: int
    worker: str
    instance: str
    claimed_at: int
    finished_at: int | None = None
    outcome: str = "running"
    error: dict[str, Any] | None = None


@dataclass(slots=True)
class Folded:
    """What a stream of job events tells. `faults` are breaks in the stream itself: gaps, moves from another state."""

    job: Job | None = None
    attempts: dict[int, FoldedAttempt] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def fold_job(documents: Iterable[Document]) -> Folded:
    """Folds the events of one job, in the order of their sequence."""
    folded = Folded()
    for number, document in enumerate(documents, 1):
        if int(document["sequence"]) != number:
            folded.faults.append(f"event {number} is missing: after {number - 1} comes {document['sequence']}")
            return folded
        take(folded, document)
    return folded


def take(folded: Folded, document: Document) -> None:
    """Folds one more event of the job."""
    kind, data, now = document["type"].split(".")[3], document["data"], from_rfc3339(document["time"])
    if kind == "accepted":
        folded.job = _accept(document, data, now)
    job = folded.job
    if job is None:
        folded.faults.append(f"it begins with {kind}, not with accepted")
        return
    if kind != "accepted" and data["from"] != job.status:
        folded.faults.append(f"event {document['sequence']} ({kind}) moves it from {data['from']}, but it was {job.status}")
    job.sequence = int(document["sequence"])
    step = _STEPS.get(kind)
    if step is not None:
        step(job, data, now)
    if kind == "cancelrequested":
        job.cancel_requested_at, job.cancel_actor, job.cancel_reason = now, document.get("actor"), data["reason"]
    _attempts(folded, job, kind, data, now)
    job.status = data["to"]
    if job.status in _ENDED and job.finished_at is None:
        job.finished_at = now


def _accept(document: Document, data: Document, now: int) -> Job:
    job = Job(
        id=document["subject"][4:], status=data["to"], created_at=now, actor=document.get("actor", ""), **{name: data[name] for name in _ACCEPTED}
    )
    job.traceparent = document.get("traceparent")
    job.run_at, job.expires_at = _instant(data["run_at"]), _instant(data["expires_at"])
    job.queued_at = now if data["to"] == "queued" else None
    return job


def _instant(text: str | None) -> int | None:
    return None if text is None else from_rfc3339(text)


def _attempts(folded: Folded, job: Job, kind: str, data: Document, now: int) -> None:
    if kind == "started":
        folded.attempts[data["lease_token"]] = FoldedAttempt(data["lease_token"], data["attempt"], data["worker"], data["instance"], now)
    elif data["from"] == "running" != data["to"] and job.lease_token in folded.attempts:
        attempt = folded.attempts[job.lease_token]
        attempt.finished_at = now
        attempt.outcome = {"succeeded": "succeeded", "released": "released", "cancelled": "cancelled"}.get(kind) or data["outcome"]
        attempt.error = data.get("error")


def _queued(job: Job, data: Document, now: int) -> None:
    if data["from"] != data["to"]:
        job.queued_at, job.run_at = now, None


def _started(job: Job, data: Document, now: int) -> None:
    job.attempt, job.lease_token, job.worker, job.started_at, job.run_at = data["attempt"], data["lease_token"], data["worker"], now, None


def _progressed(job: Job, data: Document, now: int) -> None:
    job.progress = data["progress"]


def _succeeded(job: Job, data: Document, now: int) -> None:
    job.result, job.error = data["result"], None


def _retrying(job: Job, data: Document, now: int) -> None:
    job.error, job.run_at = data["error"], _instant(data["run_at"])


def _failed(job: Job, data: Document, now: int) -> None:
    job.error = data["error"]


def _released(job: Job, data: Document, now: int) -> None:
    job.attempt -= 1
    job.run_at = _instant(data["run_at"])
    job.queued_at = now if data["to"] == "queued" else None


def _cancelled(job: Job, data: Document, now: int) -> None:
    job.run_at = None


def _reopened(job: Job, data: Document, now: int) -> None:
    job.error = job.finished_at = job.run_at = job.started_at = job.progress = None
    job.cancel_requested_at = job.cancel_actor = job.cancel_reason = None
    job.attempts_allowed, job.queued_at = data["attempts_allowed"], now


_STEPS = {
    "queued": _queued, "started": _started, "progressed": _progressed, "succeeded": _succeeded, "retrying": _retrying, "failed": _failed,
    "released": _released, "cancelled": _cancelled, "reopened": _reopened,
}  # fmt: skip
