"""What holds a job that has not started, in one sentence read off the conditions of the claim."""

from collections.abc import Mapping, Sequence

from contracts.job import Job
from contracts.times import MICROSECONDS, to_rfc3339
from functions.stores.job_store import QueueState

UNSEEN_SECONDS = 20.0


def why_waiting(job: Job, queues: Mapping[str, QueueState], now: int, open_parents: Sequence[str] = ()) -> str | None:
    """One sentence; None for a job that runs or has ended. `open_parents` are those of `depends_on` that have not ended, if
    that was looked up."""
    if job.status == "waiting":
        return _parents(job, open_parents)
    if job.status == "scheduled":
        return f"It is scheduled for {_instant(job.run_at)}."
    if job.status == "retrying":
        return f"Attempt {job.attempt} of {job.attempts_allowed} failed; the next one begins at {_instant(job.run_at)}."
    if job.status == "queued":
        return _queue(job, queues, now)
    return None


def _parents(job: Job, open_parents: Sequence[str]) -> str:
    if len(job.depends_on) == 1:
        return f"It waits for job {job.depends_on[0]} to end."
    if not open_parents:
        return f"It waits for {job.open_parents} of its {len(job.depends_on)} parent jobs to end."
    others = f" and {len(open_parents) - 1} more of its {len(job.depends_on)} parents" if len(open_parents) > 1 else ""
    return f"It waits for job {open_parents[0]}{others} to end."


def _queue(job: Job, queues: Mapping[str, QueueState], now: int) -> str:
    queue = queues.get(job.queue)
    if queue is None:
        return f"Queue {job.queue} is not declared any more, so no processor takes its jobs."
    if queue.paused:
        return f"Queue {queue.name} was paused{_by(queue)}."
    if queue.max_running is not None and queue.running >= queue.max_running:
        return f"Queue {queue.name} is at its limit: {queue.running}/{queue.max_running} are running."
    unseen = _unseen_seconds(job, queue, now)
    if unseen > UNSEEN_SECONDS:
        return _no_worker(queue, queues, unseen)
    depth = max(queue.depth, 1)  # the queue may be read when it has just been claimed
    if queue.rate_per_second is not None:
        return f"Queue {queue.name} starts at most {queue.rate_per_second:g} a second, and has {depth} waiting."
    return f"It is queued: queue {queue.name} has {depth} waiting and {queue.running} running."


def _unseen_seconds(job: Job, queue: QueueState, now: int) -> float:
    """How long this job has been there for a worker to take, and none was seen."""
    since = max([job.queued_at or job.created_at, *queue.workers.values()])
    return (now - since) / MICROSECONDS


def _no_worker(queue: QueueState, queues: Mapping[str, QueueState], unseen: float) -> str:
    words = f"No worker was seen at queue {queue.name} for {unseen:.0f} s"
    elsewhere = sum(other.running for other in queues.values() if other.name != queue.name)
    if elsewhere:
        return f"{words}: other queues have {elsewhere} running."
    return f"{words}; is its processor running?"


def _by(queue: QueueState) -> str:
    person = f" by {queue.paused_by}" if queue.paused_by else ""
    return person + (f" at {to_rfc3339(queue.paused_at)}" if queue.paused_at else "")


def _instant(micros: int | None) -> str:
    return "an instant that is not known" if micros is None else to_rfc3339(micros)
