"""The life of jobs in plain Python: small, slow and obvious. It says what every answer of a store must be.

It shares no code with the product. Instants are microseconds; `dice` is the store's own randomness, which stands still.
"""

from dataclasses import dataclass, field
from typing import Any

SECOND = 1_000_000
ENDED = ("succeeded", "failed", "cancelled")
DICE = 0.5
BACKOFF = {"initial_seconds": 2.0, "factor": 2.0, "maximum_seconds": 60.0, "jitter": True}


@dataclass
class ModelJob:
    number: int
    id: str
    type: str
    queue: str
    priority: int
    status: str
    max_attempts: int
    allowed: int
    attempt: int = 0
    token: int = 0
    lease_until: int = 0
    run_at: int | None = None
    expires_at: int | None = None
    unique_key: str | None = None
    open: set[str] = field(default_factory=set)  # parents that it waits for
    on_failure: str = "cancel"
    cancelling: bool = False
    effects: dict[str, Any] = field(default_factory=dict)
    parent_id: str | None = None


class Model:
    def __init__(self) -> None:
        self.jobs: dict[str, ModelJob] = {}
        self.gone: dict[str, ModelJob] = {}
        self.keys: dict[str, tuple[str, bytes]] = {}
        self.paused: set[str] = set()
        self.limits: dict[str, int] = {}
        self._number = 0

    # ---- submitting ---------------------------------------------------------------------------------------------

    def submit(self, now: int, requests: list[dict[str, Any]], ids: list[str | None]) -> list[tuple[Any, ...]]:
        """What each is answered: ("job", id, status, created), with the store's own id for a new one, or ("fault",)."""
        answers: list[tuple[Any, ...]] = []
        for wish, given in zip(requests, ids, strict=True):
            answers.append(self._one(now, wish, given, answers))
        return answers

    def _one(self, now: int, wish: dict[str, Any], given: str | None, earlier: list[tuple[Any, ...]]) -> tuple[Any, ...]:
        key = wish.get("key")
        if key in self.keys:
            holder, fingerprint = self.keys[key]
            if fingerprint != wish["fingerprint"]:
                return ("fault",)
            return ("job", holder, {**self.gone, **self.jobs}[holder].status, False)
        if wish.get("unique_key") is not None:
            for job in self.jobs.values():
                if (job.type, job.unique_key) == (wish["type"], wish["unique_key"]) and job.status not in ENDED:
                    self._keep_key(wish, job.id)
                    return ("job", job.id, job.status, False)
        parents = []
        for name in wish.get("depends_on", ()):
            found = earlier[int(name[1:])] if name.startswith("#") else ("job", name)
            if found[0] != "job" or found[1] not in self.jobs:
                return ("fault",)
            parents.append(self.jobs[found[1]])
        if wish.get("parent_id") is not None and wish["parent_id"] not in self.jobs:
            return ("fault",)
        assert given is not None, "the store refused what the model takes"
        job = self._accept(now, wish, given, parents)
        self._keep_key(wish, given)
        return ("job", given, job.status, True)

    def _keep_key(self, wish: dict[str, Any], job_id: str) -> None:
        if wish.get("key") is not None:
            self.keys[wish["key"]] = (job_id, wish["fingerprint"])

    def _accept(self, now: int, wish: dict[str, Any], given: str, parents: list[ModelJob]) -> ModelJob:
        self._number += 1
        job = ModelJob(
            self._number, given, wish["type"], wish["queue"], wish["priority"], "queued", wish["max_attempts"], wish["max_attempts"],
            run_at=wish.get("run_at"), expires_at=wish.get("expires_at"), unique_key=wish.get("unique_key"),
            on_failure=wish.get("on_parent_failure", "cancel"), parent_id=wish.get("parent_id"),
        )  # fmt: skip
        self.jobs[given] = job
        job.open = {parent.id for parent in parents if parent.status not in ENDED}
        if any(parent.status in ("failed", "cancelled") for parent in parents) and job.on_failure == "cancel":
            job.status, job.open = "cancelled", set()
        elif job.open:
            job.status = "waiting"
        else:
            self._due_or_later(job, now)
        return job

    @staticmethod
    def _due_or_later(job: ModelJob, now: int) -> None:
        job.status = "scheduled" if job.run_at is not None and job.run_at > now else "queued"

    # ---- running ------------------------------------------------------------------------------------------------

    def claim(self, now: int, queue: str, limit: int, lease: int, passed_over: tuple[str, ...] = ()) -> list[str]:
        """The ids that a claim gets, best first."""
        if queue in self.paused:
            return []
        if queue in self.limits:
            limit = min(limit, self.limits[queue] - sum(job.queue == queue and job.status == "running" for job in self.jobs.values()))
        claimable = (job for job in self.jobs.values() if job.queue == queue and job.status == "queued" and job.type not in passed_over)
        found = sorted(claimable, key=lambda job: (-job.priority, job.number))
        for job in found[: max(limit, 0)]:
            job.status, job.attempt, job.token, job.lease_until, job.run_at = "running", job.attempt + 1, job.token + 1, now + lease, None
        return [job.id for job in found[: max(limit, 0)]]

    def holds(self, job_id: str, token: int) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and job.status == "running" and job.token == token

    def finish(self, now: int, job_id: str, outcome: str, after: float | None) -> str:
        job = self.jobs[job_id]
        if outcome == "succeeded":
            return self._end(job, "succeeded", now)
        if job.cancelling:
            return self._end(job, "cancelled", now)
        if outcome == "snoozed":
            self.give_back(now, job_id, now + round((after or 0) * SECOND))
            return job.status
        return self._fail(job, now, outcome == "permanent", after)

    def _fail(self, job: ModelJob, now: int, permanent: bool, after: float | None) -> str:
        if permanent or job.attempt >= job.allowed:
            return self._end(job, "failed", now)
        bound = min(BACKOFF["initial_seconds"] * BACKOFF["factor"] ** (job.attempt - 1), BACKOFF["maximum_seconds"])
        job.status, job.run_at = "retrying", now + round((bound * DICE if after is None else after) * SECOND)
        return "retrying"

    def give_back(self, now: int, job_id: str, run_at: int | None) -> None:
        job = self.jobs[job_id]
        if job.cancelling:
            self._end(job, "cancelled", now)
            return
        job.attempt -= 1
        job.run_at = run_at if run_at is not None and run_at > now else None
        self._due_or_later(job, now)

    def _end(self, job: ModelJob, status: str, now: int) -> str:
        job.status, job.run_at = status, None if status == "cancelled" else job.run_at
        if status == "cancelled":
            job.open = set()
        for child in list(self.jobs.values()):
            if job.id not in child.open:
                continue
            child.open.discard(job.id)
            if child.status != "waiting":
                continue
            if status != "succeeded" and child.on_failure == "cancel":
                self._end(child, "cancelled", now)
            elif not child.open:
                self._due_or_later(child, now)
        return status

    # ---- wishes and time ----------------------------------------------------------------------------------------

    def cancel(self, now: int, job_id: str) -> bool:
        """False: refused."""
        job = self.jobs.get(job_id)
        if job is None or job.status in ("succeeded", "failed"):
            return False
        if job.status == "running":
            job.cancelling = True
        elif job.status != "cancelled":
            self._end(job, "cancelled", now)
        return True

    def reopen(self, now: int, job_id: str) -> bool:
        job = self.jobs.get(job_id)
        if job is None or job.status not in ("failed", "cancelled"):
            return False
        if job.expires_at is not None and job.expires_at <= now and not job.token:
            return False
        if job.unique_key is not None and any(
            (other.type, other.unique_key) == (job.type, job.unique_key) and other.status not in ENDED for other in self.jobs.values()
        ):
            return False
        job.status, job.allowed, job.run_at, job.cancelling = "queued", job.attempt + job.max_attempts, None, False
        return True

    def tick(self, now: int, rescue_all: bool = False) -> tuple[int, int, int]:
        """(released, rescued, expired)"""
        expired = [job for job in self.jobs.values() if job.expires_at is not None and job.expires_at <= now and job.token == 0
                   and job.status in ("waiting", "scheduled", "queued")]  # fmt: skip
        due = [job for job in self.jobs.values() if job.status in ("scheduled", "retrying") and job.run_at is not None and job.run_at <= now]
        lost = [job for job in self.jobs.values() if job.status == "running" and (rescue_all or job.lease_until <= now)]
        for job in expired:
            if job.status not in ENDED:
                self._end(job, "cancelled", now)
        for job in due:
            if job.status in ("scheduled", "retrying"):
                job.status, job.run_at = "queued", None
        for job in lost:
            if job.cancelling:
                self._end(job, "cancelled", now)
            else:
                self._fail(job, now, False, None)
        return len(due), len(lost), len(expired)

    def prune(self) -> int:
        newest = max((job.number for job in self.jobs.values()), default=0)
        going = [job for job in self.jobs.values() if job.status in ENDED and job.number != newest]
        for job in going:
            self.gone[job.id] = self.jobs.pop(job.id)
        return len(going)
