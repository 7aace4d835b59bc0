"""Gateway: checks submissions against their contracts and commits them; takes a person's wishes for jobs and queues."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contracts import strict_json, trace, validation
from contracts.catalogue import Catalogue
from contracts.errors import ObservatoryError, Refused, UnknownEventType
from contracts.event import Event
from contracts.event_types import JOB_REQUESTED
from contracts.intake import Intake, fingerprint
from contracts.job import Job, JobRequest
from functions.gateway.schedules import Schedules
from functions.gateway.waiting import Endings
from functions.runtime.bulk import Bulk, again
from functions.runtime.redaction import Redactor
from functions.stores.job_store import JobStore, QueueState, Refusal, Submitted

ANONYMOUS = "anonymous"
SAMPLE_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a submission may ask for."""

    payload_bytes: int = 262_144
    batch_items: int = 1_000
    timeout_seconds_max: float = 86_400.0
    wait_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks: the `actor`, the caller's `traceparent`, and the client's event with its (source, id), if there is one."""

    actor: str = ANONYMOUS
    traceparent: str | None = None
    source: str | None = None
    source_id: str | None = None
    idempotency_key: str | None = None

    def keys(self, item_key: str | None = None) -> tuple[str, ...]:
        """The idempotency keys of a submission."""
        keys = []
        if self.source is not None:
            keys.append(f"ce:{self.source} {self.source_id}")
        given = item_key if item_key is not None else self.idempotency_key
        if given is not None:
            keys.append(f"key:{given}")
        return tuple(keys)


def origin_of(event: Event, actor: str = ANONYMOUS, traceparent: str | None = None) -> Origin:
    """The origin of a client's event; its own trace counts before `traceparent`, that of the request that brought it."""
    return Origin(actor, trace.traceparent_of(event.attribute("traceparent")) or traceparent, event.source, event.id)


class Gateway:
    hosted = False  # whether another hosts it in its process, and so drains it

    def __init__(
        self, store: JobStore, catalogue: Catalogue, queues: Mapping[str, Any], bounds: Bounds | None = None, redactor: Redactor | None = None,
        bulk: Bulk | None = None,
    ) -> None:  # fmt: skip
        self.bounds = bounds or Bounds()
        self.endings = Endings(store)
        self.bulk = bulk or Bulk(store)
        self._store = store
        self._catalogue = catalogue
        self.intake = Intake(catalogue, queues, self.bounds.payload_bytes, self.bounds.timeout_seconds_max)
        self.schedules = Schedules(store, self.intake)
        self.redactor = redactor or Redactor(catalogue)
        self._refusals: list[Refusal] = []
        self._telling: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        await self._store.ping()

    async def drain(self) -> None:
        self.endings.close()
        await self.bulk.drain()

    # ---- submissions ------------------------------------------------------------------------------------------

    async def submit(self, document: Any, origin: Origin) -> Submitted:
        """Stores one job request. Raises the refusal, or StoreUnavailable."""
        request = self.check(document, origin)
        (answer,) = await self._store.submit([request])
        if isinstance(answer, ObservatoryError):
            raise answer
        return answer

    async def submit_event(self, event: Event, actor: str = ANONYMOUS, traceparent: str | None = None) -> Submitted:
        """Stores the job that a `job.requested` event asks for."""
        return await self.submit(self._requested(event), origin_of(event, actor, traceparent))

    async def submit_many(self, items: Sequence[tuple[Any, Origin] | ObservatoryError]) -> list[Submitted | ObservatoryError]:
        """Stores all valid requests in one transaction; each answer in its place. Raises StoreUnavailable for all."""
        answers: list[Submitted | ObservatoryError | None] = []
        requests: list[JobRequest] = []
        for item in items:
            try:
                if isinstance(item, ObservatoryError):
                    raise item
                requests.append(self.check(*item, in_batch=True))
                answers.append(None)
            except Refused as error:
                self.note_refusal("", error)
                answers.append(error)
        requests = [_renumbered(request, answers) for request in requests]
        stored = iter(await self._store.submit(requests) if requests else ())
        return [next(stored) if answer is None else answer for answer in answers]

    def _requested(self, event: Event) -> Any:
        if event.type != JOB_REQUESTED:
            raise UnknownEventType(f"this door takes events of type {JOB_REQUESTED}, not {event.type}")
        validation.validate_event(event)
        return event.data

    def event_item(self, event: Event, actor: str = ANONYMOUS, traceparent: str | None = None) -> tuple[Any, Origin] | ObservatoryError:
        """A batch item of a client's event."""
        try:
            return self._requested(event), origin_of(event, actor, traceparent)
        except Refused as error:
            return error

    def check(self, document: Any, origin: Origin, *, in_batch: bool = False) -> JobRequest:
        """A checked request with its defaults filled in. Raises a Refused with every fault."""
        try:
            return self._checked(document, origin, in_batch)
        except Refused as error:
            error.subject_type = _type_of(document)  # type: ignore[attr-defined]
            error.sample = self._sample(document)  # type: ignore[attr-defined]
            raise

    def _checked(self, document: Any, origin: Origin, in_batch: bool) -> JobRequest:
        if in_batch:
            validation.validate_job_batch_item(document)
        else:
            validation.validate_job_request(document)
        request = self.intake.request(document, self._store.now())
        request.actor, request.traceparent = origin.actor, origin.traceparent
        request.source, request.source_id = origin.source, origin.source_id
        request.cause = f"{origin.source} {origin.source_id}" if origin.source is not None else None
        request.keys = origin.keys(document.get("idempotency_key") if in_batch else None)
        request.fingerprint = fingerprint(document) if request.keys else b""
        return request

    # ---- waiting ----------------------------------------------------------------------------------------------

    async def wait_for(self, job_id: str, seconds: float) -> Job:
        """The job when it ended, or as it stands after `seconds`."""
        return await self.endings.wait(job_id, min(seconds, self.bounds.wait_seconds))

    # ---- wishes -----------------------------------------------------------------------------------------------

    async def cancel(self, job_id: str, actor: str, reason: str | None) -> Job:
        return _only(await self._store.cancel([job_id], actor, reason))

    async def retry(self, job_id: str, actor: str, reason: str | None) -> Job:
        return _only(await self._store.reopen([job_id], actor, reason))

    async def rerun(self, job_id: str, origin: Origin) -> Submitted:
        """A new job with the payload and options of an ended one, whose `parent_id` is that one; under an idempotency key
        once. Raises Forbidden, IdempotencyConflict."""
        request = again(await self._store.job(job_id), origin.actor, origin.keys())
        request.fingerprint, request.traceparent = fingerprint({"rerun": job_id}), origin.traceparent
        (answer,) = await self._store.submit([request])
        if isinstance(answer, ObservatoryError):
            raise answer
        return answer

    async def set_paused(self, queue: str, paused: bool, actor: str, reason: str | None) -> QueueState:
        return await self._store.set_paused(queue, paused, actor, reason)

    # ---- refusals ---------------------------------------------------------------------------------------------

    def note_refusal(self, path: str, error: Refused) -> None:
        """Counts a refusal by type and reason; told to the store in company, off the request's path."""
        if error.status == 404 or len(self._refusals) >= 1_000:
            return
        subject = getattr(error, "subject_type", "unknown")
        known = subject if subject in self._catalogue else "unknown"
        self._refusals.append(Refusal(known, error.slug, error.message[:200], getattr(error, "sample", None)))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell_refusals())

    async def _tell_refusals(self) -> None:
        while self._refusals:  # those, too, that come while the store writes
            await asyncio.sleep(0.05)
            refusals, self._refusals = self._refusals, []
            with contextlib.suppress(ObservatoryError):  # a counter, not a promise: the store is away
                await self._store.record_refusals(refusals)

    def _sample(self, document: Any) -> str | None:
        """A redacted text of a refused request of a known type; nothing of an unknown one is kept."""
        if _type_of(document) not in self._catalogue:
            return None
        return strict_json.dumps_text(self.redactor.refused(document))[:SAMPLE_CHARACTERS]


def _type_of(document: Any) -> str:
    kind = document.get("type") if isinstance(document, dict) else None
    return kind if isinstance(kind, str) else "unknown"


def _renumbered(request: JobRequest, answers: Sequence[Any]) -> JobRequest:
    """`#INDEX` counts all items of the batch; the store sees only the valid ones."""
    if not any(name.startswith("#") for name in request.depends_on):
        return request
    places: dict[str, str] = {}
    for index, answer in enumerate(answers):
        if answer is None:
            places[f"#{index}"] = f"#{len(places)}"
    return replace(request, depends_on=[places.get(name, "#999999") if name.startswith("#") else name for name in request.depends_on])


def _only(answers: Sequence[Job | ObservatoryError]) -> Job:
    (answer,) = answers
    if isinstance(answer, ObservatoryError):
        raise answer
    return answer
