"""A fold of the event log in plain Python, written apart from the product: what the job table must be, by the log alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

ENDED = ("succeeded", "failed", "cancelled")
FROM_ACCEPTED = (
    "id", "type", "task_version", "queue", "priority", "payload", "max_attempts", "attempts_allowed", "timeout_seconds", "backoff", "tags",
    "unique_key", "parent_id", "root_id", "depends_on", "open_parents", "on_parent_failure", "schedule", "source", "source_id",
)  # fmt: skip
EMPTY = (
    "result", "error", "worker", "cancel_requested_at", "cancel_actor", "cancel_reason", "progress", "queued_at", "started_at", "finished_at",
)  # fmt: skip


def micros(text: str | None) -> int | None:
    """Microseconds since the epoch of an instant."""
    if text is None:
        return None
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


class LogFold:
    """`jobs`: id -> column -> value, as the table must have it. `states`: (queue, type, status) -> jobs, never of zero."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self._waits_for: dict[str, set[str]] = defaultdict(set)  # parent -> children that count on its end

    @property
    def states(self) -> dict[tuple[str, str, str], int]:
        counts: dict[tuple[str, str, str], int] = defaultdict(int)
        for job in self.jobs.values():
            counts[job["queue"], job["type"], job["status"]] += 1
        return dict(counts)

    def take(self, documents: Iterable[Mapping[str, Any]]) -> "LogFold":
        """Folds events in the order of the feed; those that are no job's are passed over."""
        for document in documents:
            if str(document["subject"]).startswith("job/"):
                self._take(document, document["type"].split(".")[3])
        return self

    def _take(self, document: Mapping[str, Any], what: str) -> None:
        job_id, data, now = document["subject"][4:], document["data"], micros(document["time"])
        if what == "accepted":
            self._accept(job_id, document, data, now)
        job = self.jobs.get(job_id)
        if job is None:  # its beginning is missing: the checker says so
            return
        job["status"], job["sequence"] = data["to"], int(document["sequence"])
        getattr(self, f"_{what}", lambda *_: None)(job, data, now)
        if what == "cancelrequested":
            job.update(cancel_requested_at=now, cancel_actor=document["actor"], cancel_reason=data["reason"])
        if data["to"] in ENDED:
            job["finished_at"] = now
            self._tell_children(job_id, data["to"])

    def _accept(self, job_id: str, document: Mapping[str, Any], data: Mapping[str, Any], now: int | None) -> None:
        job = {name: data[name] for name in FROM_ACCEPTED} | dict.fromkeys(EMPTY)
        job |= {
            "attempt": 0, "lease_token": 0, "actor": document["actor"], "traceparent": document.get("traceparent"), "created_at": now,
            "run_at": micros(data["run_at"]), "expires_at": micros(data["expires_at"]), "queued_at": now if data["to"] == "queued" else None,
        }  # fmt: skip
        self.jobs[job_id] = job
        for parent in data["depends_on"]:
            if parent in self.jobs and self.jobs[parent]["status"] not in ENDED:
                self._waits_for[parent].add(job_id)

    def _tell_children(self, job_id: str, end: str) -> None:
        for child_id in self._waits_for.pop(job_id, ()):
            child = self.jobs[child_id]
            if child["status"] == "waiting" and (end == "succeeded" or child["on_parent_failure"] == "run"):
                child["open_parents"] -= 1

    def _queued(self, job: dict[str, Any], data: Mapping[str, Any], now: int | None) -> None:
        if data["from"] != data["to"]:
            job.update(queued_at=now, run_at=None)

    def _started(self, job: dict[str, Any], data: Mapping[str, Any], now: int | None) -> None:
        job.update(attempt=job["attempt"] + 1, lease_token=job["lease_token"] + 1, worker=data["worker"], started_at=now, run_at=None)

    def _progressed(self, job: dict[str, Any], data: Mapping[str, Any], now: int | None) -> None:
        job.update(progress=data["progress"])

    def _succeeded(self, job: dict[str, Any], data: Mapping[str, Any], now: int | None) -> None:
        job.update(result=data["result"], error=None)

    def _retrying(self, job: dict[str, Any], data: Mapping[str, Any], now: int | None) -> None:
        job.update(error=data["error"], run_at=micros(data["run_at"]))

    def _failed(self, job: dict[str, Any], data: Mapping[str, Any], now: int | None) -> None:
        job.update(error=data["error"])

    def _released(self, job: dict[str, Any], data: Mapping[str, Any], now: int | None) -> None:
        job.update(attempt=job["attempt"] - 1, run_at=micros(data["run_at"]), queued_at=now if data["to"] == "queued" else None)

    def _cancelled(self, job: dict[str, Any], data: Mapping[str, Any], now: int | None) -> None:
        job.update(run_at=None, open_parents=0)

    def _reopened(self, job: dict[str, Any], data: Mapping[str, Any], now: int | None) -> None:
        job.update(dict.fromkeys(("error", "finished_at", "run_at", "started_at", "progress"), None))
        job.update(dict.fromkeys(("cancel_requested_at", "cancel_actor", "cancel_reason"), None))
        job.update(attempts_allowed=job["attempt"] + job["max_attempts"], queued_at=now)
