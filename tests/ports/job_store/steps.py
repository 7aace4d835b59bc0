"""What the suite of `JobStore` does again and again, by the port alone."""

from collections.abc import Sequence
from typing import Any, Protocol

from contracts.errors import ObservatoryError
from contracts.event import Event
from contracts.event_types import PREFIX
from contracts.job import Job, JobRequest
from contracts.schedule import ScheduleSpec
from functions.stores.job_store import JobStore, Lease, Submitted
from functions.stores.moves import Ending

ERROR = {"type": "ValueError", "message": "no", "traceback": None}
SECOND = 1_000_000


class Laboratory(Protocol):
    """Where an adapter is tried out."""

    async def open(self) -> JobStore:
        """The store over this laboratory's data: new at first, and again after a close, as after a restart."""

    def pass_seconds(self, seconds: float) -> None:
        """Moves the store's clock on. It stands still in between, or runs with real time: no test may rely on either."""


def request(job_type: str = "demo.noop", **options: Any) -> JobRequest:
    """A checked request with defaults; retries follow at once unless `backoff` says otherwise."""
    options.setdefault("backoff", {"initial_seconds": 1.0, "factor": 2.0, "maximum_seconds": 60.0, "jitter": False})
    return JobRequest(job_type, options.pop("payload", {}), **options)


async def submitted(store: JobStore, *requests: JobRequest) -> list[str]:
    """The ids of requests that must all be taken."""
    return [answer.id for answer in all_taken(await store.submit(requests))]


def all_taken(answers: Sequence[Submitted | ObservatoryError]) -> list[Submitted]:
    faulty = [answer for answer in answers if not isinstance(answer, Submitted)]
    assert not faulty, faulty
    return [answer for answer in answers if isinstance(answer, Submitted)]


async def one(store: JobStore, **options: Any) -> str:
    """The id of one new job."""
    (job_id,) = await submitted(store, request(**options))
    return job_id


async def fired(store: JobStore, schedule: str, wish: JobRequest) -> str:
    """The id of a job that a schedule of this name makes now."""
    await store.put_schedule(schedule, ScheduleSpec(template={"type": wish.type, "payload": {}}, every_seconds=3_600), "anna")
    return (await store.run_schedule(schedule, lambda _: wish, wish.actor)).id


async def claimed(store: JobStore, limit: int = 1, queue: str = "default", worker: str = "worker-a", seconds: float = 15) -> list[Job]:
    return await store.claim(queue, limit, worker=worker, instance=f"instance of {worker}", lease_seconds=seconds)


async def running(store: JobStore, **options: Any) -> Job:
    """A new job that a worker holds; the queue must be empty before."""
    job_id = await one(store, **options)
    (job,) = await claimed(store, queue=options.get("queue", "default"))
    assert job.id == job_id
    return job


def ending(job: Job, outcome: str = "succeeded", **parts: Any) -> Ending:
    if outcome in ("failed", "permanent", "timed_out", "worker_died"):
        parts.setdefault("error", ERROR)
    return Ending(job.id, job.lease_token, outcome, ran_micros=1_500, instance="instance", worker="worker", **parts)


async def ended(store: JobStore, job: Job, outcome: str = "succeeded", **parts: Any) -> str:
    """The attempt's outcome; the lease must be held."""
    (answer,) = await store.end_attempts([ending(job, outcome, **parts)])
    assert isinstance(answer, str), answer
    return answer


async def run(store: JobStore, outcome: str = "succeeded", limit: int = 1, queue: str = "default", **parts: Any) -> list[Job]:
    """Claims and ends the next jobs."""
    jobs = await claimed(store, limit, queue)
    answers = await store.end_attempts([ending(job, outcome, **parts) for job in jobs])
    assert all(isinstance(answer, str) for answer in answers), answers
    return jobs


async def failed(store: JobStore, **options: Any) -> str:
    """The id of a job that failed for good."""
    job = await running(store, **options)
    await ended(store, job, "permanent")
    return job.id


async def states(store: JobStore, *job_ids: str) -> list[str]:
    return [(await store.job(job_id)).status for job_id in job_ids]


async def told(store: JobStore, job_id: str) -> list[str]:
    """The short types of a job's events: `job.accepted` is `accepted`."""
    return [short(event) for event in await store.events_of(f"job/{job_id}")]


def short(event: Event) -> str:
    return event.type.removeprefix(PREFIX).removesuffix(".v1").partition(".")[2]


async def last_event(store: JobStore, job_id: str) -> Event:
    return (await store.events_of(f"job/{job_id}"))[-1]


async def whole_feed(store: JobStore, page: int = 1_000) -> list[Event]:
    events: list[Event] = []
    while found := await store.feed(events[-1].position if events else 0, page):
        events += found
    return events


async def everything(store: JobStore, job_id: str) -> tuple[Any, ...]:
    """All that a write without a lease must leave as it is."""
    return await store.job(job_id), await store.head(), await store.attempts(job_id), await store.effects([job_id])


def lease(job: Job) -> tuple[str, int]:
    return job.id, job.lease_token


async def renewed(store: JobStore, *jobs: Job, seconds: float = 15) -> list[str]:
    """held, cancelling or lost, for each."""
    found: list[Lease] = await store.renew([lease(job) for job in jobs], seconds)
    assert [(entry.job_id, entry.lease_token) for entry in found] == [lease(job) for job in jobs]
    return [entry.state for entry in found]
