"""The moves of a job as pure functions: a job and a fact in, the changed job and its events out.

Every store applies these and stores what they return, so that what a move means is written once. Nothing here reads a
clock, makes randomness or does input or output: instants (microseconds) and random numbers are handed in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts import event_types as types
from contracts.errors import IllegalMove, LeaseLost
from contracts.event import SPEC_VERSION
from contracts.job import Backoff, Job, JobRequest, JobStatus, is_allowed
from contracts.times import MICROSECONDS, optional_rfc3339, seconds_between, to_micros, to_rfc3339

PROCESSOR = "function:processor"
SCHEDULER = "function:scheduler"

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Ending:
    """How one attempt ended, as its worker tells it.

    `outcome` is succeeded, failed, permanent, timed_out, worker_died, snoozed or cancelled. `after_seconds` is the
    handler's own wish (Retry, Snooze). `ran_micros` is the handler's running time, `began_at` its begin.
    """

    job_id: str
    lease_token: int
    outcome: str
    result: Any = None
    error: dict[str, Any] | None = None
    after_seconds: float | None = None
    began_at: int | None = None
    ran_micros: int = 0
    output: str | None = None
    instance: str = ""
    worker: str = ""


@dataclass(slots=True)
class Moves:
    """Applies moves at one instant for one store; each event document goes to `emit` in the order it happened."""

    source: str
    now: int
    emit: Emit
    random: Callable[[], float]
    time: str = ""

    def __post_init__(self) -> None:
        self.time = to_rfc3339(self.now)

    # ---- entering ---------------------------------------------------------------------------------------------

    def accept(
        self, job_id: str, request: JobRequest, open_parents: int, root_id: str | None, schedule: str | None = None, traceparent: str | None = None
    ) -> Job:
        """A new job from a checked request, in `waiting`, `scheduled` or `queued`; `schedule` names the one whose firing it is,
        `traceparent` what it carries when the request names none."""
        due = request.run_at is None or request.run_at <= self.now
        status = JobStatus.WAITING if open_parents else JobStatus.QUEUED if due else JobStatus.SCHEDULED
        job = Job(
            id=job_id,
            type=request.type,
            task_version=request.task_version,
            queue=request.queue,
            priority=request.priority,
            status=status.value,
            payload=request.payload,
            max_attempts=request.max_attempts,
            attempts_allowed=request.max_attempts,
            timeout_seconds=request.timeout_seconds,
            created_at=self.now,
            backoff=request.backoff,
            actor=request.actor,
            root_id=root_id or job_id,
            on_parent_failure=request.on_parent_failure,
            tags=request.tags,
            unique_key=request.unique_key,
            parent_id=request.parent_id,
            depends_on=request.depends_on,
            open_parents=open_parents,
            schedule=schedule,
            source=request.source,
            source_id=request.source_id,
            traceparent=request.traceparent or traceparent,
            run_at=request.run_at,
            expires_at=request.expires_at,
            queued_at=self.now if status is JobStatus.QUEUED else None,
        )
        self._tell(job, types.JOB_ACCEPTED, _accepted_data(job), actor=request.actor, cause=request.cause)
        self._announce(job, "submitted", request.actor)
        return job

    def release_due(self, job: Job) -> None:
        """A scheduled or retrying job's time has come."""
        self._queue(job, "due", SCHEDULER)

    def release_child(self, job: Job, actor: str = PROCESSOR) -> None:
        """The last open parent of a waiting job ended."""
        if job.run_at is not None and job.run_at > self.now:
            origin, job.status = job.status, JobStatus.SCHEDULED.value
            self._tell(job, types.JOB_SCHEDULED, self._step(origin, job) | {
                "run_at": to_rfc3339(job.run_at), "reason": "parents_ended"}, actor=actor)
        else:
            self._queue(job, "parents_ended", actor)

    # ---- running ----------------------------------------------------------------------------------------------

    def claim(self, job: Job, *, worker: str, instance: str, lease_micros: int, cold_start_seconds: float | None) -> None:
        """A worker takes a queued job under a lease."""
        origin = job.status
        job.status = JobStatus.RUNNING.value
        job.attempt += 1
        job.lease_token += 1
        job.lease_until = self.now + lease_micros
        job.worker = worker
        job.started_at = self.now
        job.run_at = None
        waited = seconds_between(job.queued_at or job.created_at, self.now)
        self._tell(job, types.JOB_STARTED, self._leased(origin, job) | {
            "worker": worker, "instance": instance, "waited_seconds": waited, "cold_start_seconds": cold_start_seconds})

    def progress(self, job: Job, lease_token: int, progress: dict[str, Any]) -> None:
        """The handler says how far it is: ``{"fraction": 0..1 or null, "message": text or null}``."""
        check_lease(job, lease_token)
        job.progress = progress
        self._tell(job, types.JOB_PROGRESSED, self._leased(job.status, job) | {"progress": progress})

    def end_attempt(self, job: Job, ending: Ending) -> str:
        """The attempt ended by itself, by its timeout or with its worker; returns the attempt record's outcome.

        Raises LeaseLost when another claim, or none, holds the job now.
        """
        check_lease(job, ending.lease_token)
        ran = ending.ran_micros / MICROSECONDS
        if ending.outcome == "succeeded":
            self._succeed(job, ending.result, ran)
            return "succeeded"
        if job.cancel_requested_at is not None or ending.outcome == "cancelled":
            self._cancel(job, job.cancel_actor or PROCESSOR, job.cancel_reason, "person", ran)
            return "cancelled"
        if ending.outcome == "snoozed":
            self._release(job, "snooze", self.now + to_micros(ending.after_seconds or 0.0), ran)
            return "released"
        self._fail(job, ending.outcome, ending.error or _NO_ERROR, ran, ending.after_seconds)
        return ending.outcome

    def rescue(self, job: Job) -> str:
        """The lease ran out: its worker is gone. Returns the attempt record's outcome."""
        ran = seconds_between(job.started_at or self.now, self.now)
        if job.cancel_requested_at is not None:
            self._cancel(job, job.cancel_actor or SCHEDULER, job.cancel_reason, "person", ran, actor=SCHEDULER)
            return "cancelled"
        error = {"type": "LeaseLost", "message": f"the worker {job.worker} did not renew its lease", "traceback": None}
        self._fail(job, "lease_lost", error, ran, None, actor=SCHEDULER)
        return "lease_lost"

    def release(self, job: Job, lease_token: int, reason: str) -> str:
        """A draining worker gives its attempt back; it does not count. Returns the attempt record's outcome."""
        check_lease(job, lease_token)
        ran = seconds_between(job.started_at or self.now, self.now)
        if job.cancel_requested_at is not None:
            self._cancel(job, job.cancel_actor or PROCESSOR, job.cancel_reason, "person", ran)
            return "cancelled"
        self._release(job, reason, None, ran)
        return "released"

    # ---- a person's wishes, and time's ------------------------------------------------------------------------

    def cancel(self, job: Job, actor: str, reason: str | None, cause: str = "person") -> None:
        """Cancels what has not begun; asks a running attempt to stop. Raises IllegalMove for an ended job."""
        if job.status in ("succeeded", "failed", "cancelled"):
            raise IllegalMove(f"job {job.id} has already ended ({job.status}), so there is nothing to cancel")
        if job.status != JobStatus.RUNNING.value:
            self._cancel(job, actor, reason, cause, None, actor=actor)
        elif job.cancel_requested_at is None:
            job.cancel_requested_at, job.cancel_actor, job.cancel_reason = self.now, actor, reason
            self._tell(job, types.JOB_CANCELREQUESTED, self._step(job.status, job) | {"reason": reason}, actor=actor)

    def expire(self, job: Job) -> None:
        """`expires_at` passed before the job was ever claimed."""
        self._cancel(job, SCHEDULER, "expires_at passed before the job was started", "expired", None, actor=SCHEDULER)

    def reopen(self, job: Job, actor: str, reason: str | None) -> None:
        """A person's retry of a failed or cancelled job: new attempts, the count goes on. Raises IllegalMove, also when it would
        only expire: `expires_at` belongs to what was accepted, and a claim alone ends its effect."""
        if job.status not in ("failed", "cancelled"):
            hint = "rerun makes a new job from it" if job.status == "succeeded" else "it has not ended"
            raise IllegalMove(f"job {job.id} is {job.status}; only failed and cancelled jobs are retried ({hint})")
        if job.expires_at is not None and job.expires_at <= self.now and not job.lease_token:
            raise IllegalMove(f"job {job.id} was to be started by {to_rfc3339(job.expires_at)} (expires_at) and never was, so a retry would be"
                              " cancelled at once; rerun makes a new job from it, without that time")  # fmt: skip
        origin = job.status
        job.status = JobStatus.QUEUED.value
        job.attempts_allowed = job.attempt + job.max_attempts
        job.error = job.finished_at = job.run_at = job.started_at = job.progress = None
        job.cancel_requested_at = job.cancel_actor = job.cancel_reason = None
        job.queued_at = self.now
        self._tell(job, types.JOB_REOPENED, self._step(origin, job) | {
            "attempt": job.attempt, "attempts_allowed": job.attempts_allowed, "reason": reason}, actor=actor)
        self._announce(job, "reopened", actor)

    # ---- the parts --------------------------------------------------------------------------------------------

    def _succeed(self, job: Job, result: Any, ran: float) -> None:
        origin = self._end(job, JobStatus.SUCCEEDED)
        job.result, job.error = result, None
        self._tell(job, types.JOB_SUCCEEDED, self._leased(origin, job) | {"result": result, "ran_seconds": ran})

    def _fail(self, job: Job, outcome: str, error: dict[str, Any], ran: float, after: float | None, actor: str = PROCESSOR) -> None:
        job.error = error
        told = {"outcome": outcome, "error": error, "ran_seconds": ran}
        if outcome == "permanent" or job.attempt >= job.attempts_allowed:
            origin = self._end(job, JobStatus.FAILED)
            self._tell(job, types.JOB_FAILED, self._leased(origin, job) | told, actor=actor)
            return
        origin = self._let_go(job, JobStatus.RETRYING)
        delay = Backoff(**job.backoff).delay_seconds(job.attempt, self.random()) if after is None else after
        job.run_at = self.now + to_micros(delay)
        self._tell(job, types.JOB_RETRYING, self._leased(origin, job) | told | {"run_at": to_rfc3339(job.run_at)}, actor=actor)

    def _release(self, job: Job, reason: str, run_at: int | None, ran: float) -> None:
        later = run_at is not None and run_at > self.now
        origin = self._let_go(job, JobStatus.SCHEDULED if later else JobStatus.QUEUED)
        job.attempt -= 1
        job.run_at = run_at if later else None
        job.queued_at = None if later else self.now
        self._tell(job, types.JOB_RELEASED, self._leased(origin, job) | {
            "reason": reason, "run_at": optional_rfc3339(job.run_at), "ran_seconds": ran})
        self._announce(job, "released", PROCESSOR)

    def _cancel(self, job: Job, by: str, reason: str | None, cause: str, ran: float | None, actor: str | None = None) -> None:
        origin = self._end(job, JobStatus.CANCELLED)
        job.run_at = None
        job.open_parents = 0
        self._tell(job, types.JOB_CANCELLED, self._step(origin, job) | {
            "reason": reason, "cause": cause, "ran_seconds": ran}, actor=actor or by)

    def _end(self, job: Job, status: JobStatus) -> str:
        origin = self._let_go(job, status)
        job.finished_at = self.now
        return origin

    @staticmethod
    def _let_go(job: Job, status: JobStatus) -> str:
        origin, job.status, job.lease_until = job.status, status.value, None
        return origin

    def _queue(self, job: Job, reason: str, actor: str) -> None:
        origin, job.status = job.status, JobStatus.QUEUED.value
        job.queued_at, job.run_at = self.now, None
        self._tell(job, types.JOB_QUEUED, self._step(origin, job) | {"reason": reason}, actor=actor)

    def _announce(self, job: Job, reason: str, actor: str) -> None:
        """Says that a state was entered by the event before: counts nothing, rings the processor."""
        if job.status == "queued":
            self._tell(job, types.JOB_QUEUED, {"from": "queued", "to": "queued", "reason": reason}, actor=actor)
        elif job.status == "scheduled":
            self._tell(job, types.JOB_SCHEDULED, {
                "from": "scheduled", "to": "scheduled", "run_at": optional_rfc3339(job.run_at), "reason": reason}, actor=actor)

    @staticmethod
    def _step(origin: str, job: Job) -> dict[str, Any]:
        return {"from": origin, "to": job.status}

    @staticmethod
    def _leased(origin: str, job: Job) -> dict[str, Any]:
        return {"from": origin, "to": job.status, "attempt": job.attempt, "lease_token": job.lease_token}

    def _tell(self, job: Job, event_type: str, data: dict[str, Any], *, actor: str = PROCESSOR, cause: str | None = None) -> None:
        if not is_allowed(data["from"], data["to"], event_type):
            raise IllegalMove(f"job {job.id}: no move from {data['from']} to {data['to']} by {event_type}")
        stream = "job/" + job.id
        job.sequence += 1
        document = {
            "specversion": SPEC_VERSION,
            "id": f"{stream}/{job.sequence}",
            "source": self.source,
            "type": event_type,
            "subject": stream,
            "time": self.time,
            "datacontenttype": "application/json",
            "queue": job.queue,
            "jobtype": job.type,
            "sequence": str(job.sequence),
            "attempt": str(job.attempt),
            "actor": actor,
            "data": data,
        }
        if job.sequence > 1:
            document["causation"] = f"{stream}/{job.sequence - 1}"
        elif cause is not None:
            document["causation"] = cause
        if job.traceparent is not None:
            document["traceparent"] = job.traceparent
        self.emit(document)


_NO_ERROR = {"type": "Error", "message": "the attempt failed without saying why", "traceback": None}


def check_lease(job: Job, lease_token: int) -> None:
    """Raises LeaseLost unless `lease_token` is the one under which the job runs now (fencing)."""
    if job.status != "running" or job.lease_token != lease_token:
        raise LeaseLost(f"job {job.id}: lease {lease_token} is no longer held (now {job.lease_token}, {job.status})")


def _accepted_data(job: Job) -> dict[str, Any]:
    return {
        "from": None,
        "to": job.status,
        "id": job.id,
        "type": job.type,
        "task_version": job.task_version,
        "queue": job.queue,
        "priority": job.priority,
        "payload": job.payload,
        "max_attempts": job.max_attempts,
        "attempts_allowed": job.attempts_allowed,
        "timeout_seconds": job.timeout_seconds,
        "backoff": job.backoff,
        "tags": job.tags,
        "unique_key": job.unique_key,
        "parent_id": job.parent_id,
        "root_id": job.root_id,
        "depends_on": job.depends_on,
        "open_parents": job.open_parents,
        "on_parent_failure": job.on_parent_failure,
        "schedule": job.schedule,
        "source": job.source,
        "source_id": job.source_id,
        "run_at": optional_rfc3339(job.run_at),
        "expires_at": optional_rfc3339(job.expires_at),
    }
