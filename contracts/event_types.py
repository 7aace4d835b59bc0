"""Every event type there is, as data: what its stream is and what it says.

A type's name is `dev.observatory.<noun>.<participle>.v1`. All but `job.requested` are part of the log.
"""

from dataclasses import dataclass

PREFIX = "dev.observatory."
JOB_REQUESTED = "dev.observatory.job.requested.v1"
TICK_TYPE = "dev.knative.sources.ping"  # what a PingSource sends


@dataclass(frozen=True, slots=True)
class EventType:
    """`short` is the name without prefix and version (`job.accepted`); `logged` says whether the feed holds it."""

    short: str
    version: int
    description: str
    logged: bool = True

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.short}.v{self.version}"

    @property
    def noun(self) -> str:
        return self.short.partition(".")[0]


EVENT_TYPES: dict[str, EventType] = {
    kind.name: kind
    for kind in (
        EventType("job.requested", 1, "A client asks for a job; its data is a job request.", logged=False),
        EventType("job.accepted", 1, "A submission was stored; carries the payload and every option."),
        EventType("job.scheduled", 1, "The job waits for its time (run_at)."),
        EventType("job.queued", 1, "The job may be claimed: its queue has work."),
        EventType("job.started", 1, "A worker claimed the job and holds its lease."),
        EventType("job.progressed", 1, "The handler reported how far it is."),
        EventType("job.cancelrequested", 1, "A person asked to cancel the running job."),
        EventType("job.succeeded", 1, "The handler returned its result."),
        EventType("job.retrying", 1, "The attempt failed, and another follows at run_at."),
        EventType("job.released", 1, "The attempt was given back, uncounted: a snooze or a draining worker."),
        EventType("job.failed", 1, "The job failed for good."),
        EventType("job.cancelled", 1, "The job was cancelled."),
        EventType("job.reopened", 1, "A person's retry gave an ended job new attempts."),
        EventType("queue.configured", 1, "A queue's declaration was taken over."),
        EventType("queue.paused", 1, "A queue hands out no more jobs."),
        EventType("queue.resumed", 1, "A queue hands out jobs again."),
        EventType("schedule.created", 1, "A schedule was made."),
        EventType("schedule.updated", 1, "A schedule was changed."),
        EventType("schedule.deleted", 1, "A schedule was removed."),
        EventType("schedule.paused", 1, "A schedule fires no more."),
        EventType("schedule.resumed", 1, "A schedule fires again."),
        EventType("schedule.fired", 1, "A schedule submitted its job for a due time."),
        EventType("schedule.skipped", 1, "A due time passed without a job, by overlap or misfire rule."),
        EventType("deadletter.replayed", 1, "A dead letter was sent to its Trigger's subscriber again."),
        EventType("deadletter.discarded", 1, "A dead letter was put aside for good, with a reason."),
        EventType("contract.refused", 1, "Requests were refused at the door; one event a type, reason and minute."),
        EventType("alert.raised", 1, "A value went beyond its threshold and stayed there, or became critical."),
        EventType("alert.resolved", 1, "The value of a raised alert is calm again, and has been for a while."),
    )
}


def full_name(short: str, version: int = 1) -> str:
    """`job.queued` -> `dev.observatory.job.queued.v1`."""
    return f"{PREFIX}{short}.v{version}"


JOB_ACCEPTED = full_name("job.accepted")
JOB_SCHEDULED = full_name("job.scheduled")
JOB_QUEUED = full_name("job.queued")
JOB_STARTED = full_name("job.started")
JOB_PROGRESSED = full_name("job.progressed")
JOB_CANCELREQUESTED = full_name("job.cancelrequested")
JOB_SUCCEEDED = full_name("job.succeeded")
JOB_RETRYING = full_name("job.retrying")
JOB_RELEASED = full_name("job.released")
JOB_FAILED = full_name("job.failed")
JOB_CANCELLED = full_name("job.cancelled")
JOB_REOPENED = full_name("job.reopened")
CONTRACT_REFUSED = full_name("contract.refused")
QUEUE_RESUMED = full_name("queue.resumed")
SCHEDULE_CREATED = full_name("schedule.created")
SCHEDULE_UPDATED = full_name("schedule.updated")
SCHEDULE_DELETED = full_name("schedule.deleted")
SCHEDULE_PAUSED = full_name("schedule.paused")
SCHEDULE_RESUMED = full_name("schedule.resumed")
SCHEDULE_FIRED = full_name("schedule.fired")
SCHEDULE_SKIPPED = full_name("schedule.skipped")
ALERT_RAISED = full_name("alert.raised")
ALERT_RESOLVED = full_name("alert.resolved")
