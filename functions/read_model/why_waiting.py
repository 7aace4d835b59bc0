"""What holds a job that has not started, in one sentence read off the conditions of the claim."""

from collections.abc import Mapping

from contracts.job import Job
from contracts.times import MICROSECONDS, to_rfc3339
from functions.stores.job_store import QueueState

UNSEEN_SECONDS = 20.0


def why_waiting(job: Job, queues: Mapping[str, QueueState], now: int) -> str | None:
    """One sentence; None for a job that runs or has ended."""
    if job.status == "waiting":
        return _parents(job)
    if job.status == "scheduled":
        return f"It is scheduled for {_instant(job.run_at)}."
    if job.status == "retrying":
        return f"Attempt {job.attempt} of {job.attempts_allowed} failed; the next one begins at {_instant(job.run_at)}."
    if job.status == "queued":
        return _queue(job, queues.get(job.queue), now)
    return None


def _parents(job: Job) -> str:
    if len(job.depends_on) == 1:
        return f"It waits for job {job.depends_on[0]} to end."
    return f"It waits for {job.open_parents} of its {len(job.depends_on)} parent jobs to end."


def _queue(job: Job, queue: QueueState | None, now: int) -> str:
    if queue is None:
        return f"Queue {job.queue} is not declared any more, so no processor takes its jobs."
    if queue.paused:
        return f"Queue {queue.name} was paused{_by(queue)}."
    if queue.max_running is not None and queue.running >= queue.max_running:
        return f"Queue {queue.name} is at its limit: {queue.running} of {queue.max_running} are running."
    idle = _seconds_since(queue.oldest_queued_at, now)
    if queue.running == 0 and idle > UNSEEN_SECONDS:
        return f"No worker has taken a job of queue {queue.name} for {idle:.0f} s; is its processor running?"
    if queue.rate_per_second is not None:
        return f"Queue {queue.name} starts at most {queue.rate_per_second:g} jobs a second, and {queue.depth} are queued."
    return f"It is queued: {queue.depth} jobs wait in queue {queue.name}, and {queue.running} are running."


def _by(queue: QueueState) -> str:
    person = f" by {queue.paused_by}" if queue.paused_by else ""
    return person + (f" at {to_rfc3339(queue.paused_at)}" if queue.paused_at else "")


def _instant(micros: int | None) -> str:
    return "an instant that is not known" if micros is None else to_rfc3339(micros)


def _seconds_since(micros: int | None, now: int) -> float:
    return 0.0 if micros is None else (now - micros) / MICROSECONDS
