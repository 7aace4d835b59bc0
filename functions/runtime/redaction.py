"""Hides what a task's schema marks with `x-secret` on every way out of the store."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from contracts import schema_files, strict_json
from contracts.catalogue import Catalogue
from contracts.errors import StoreUnavailable
from contracts.event import Event
from contracts.event_types import EVENT_TYPES, JOB_ACCEPTED, JOB_REQUESTED, full_name
from contracts.job import Job
from contracts.redaction import REDACTED, has_secrets, redact_by

_TEMPLATES = frozenset(full_name(f"schedule.{change}") for change in ("created", "updated", "deleted", "paused", "resumed"))
_CARRIERS = frozenset({JOB_ACCEPTED, JOB_REQUESTED, *_TEMPLATES})

Redact = Callable[[Sequence[Event]], Awaitable[Sequence[Event]]]
"""Events as they may leave the store. Raises StoreUnavailable while that cannot be told."""
LookUp = Callable[[], Awaitable[Mapping[str, Sequence[Any]]]]
LOOK_UP_SECONDS = 5.0
AGAIN_SECONDS = 5.0


async def nothing_hidden(events: Sequence[Event]) -> Sequence[Event]:
    """A Redact for where nothing leaves."""
    return events


def secret_schemas(catalogue: Catalogue) -> dict[str, Any]:
    """The payload schemas of a catalogue that mark secrets, by type."""
    return {task.type: task.schema for task in catalogue.definitions() if has_secrets(task.schema)}


class Redactor:
    """Redacts by the schemas of a catalogue, as it stands and as it stood since this was made, and by `earlier` ones, which
    the tasks of this deployment once had (JobStore's `remember_secrets`): what was once hidden stays so.

    Where other machines may have other tasks, `look_up` asks the store for all that were ever kept, before anything of a type or
    version goes out that this process does not know: who accepts jobs of a type has kept its secrets first. Of what it knows it asks
    again after `again_seconds`, for others may mark a field of it without a new version. What nobody ever marked passes as it is."""

    def __init__(
        self, catalogue: Catalogue, earlier: Mapping[str, Sequence[Any]] | None = None, look_up: LookUp | None = None,
        again_seconds: float = AGAIN_SECONDS,
    ) -> None:  # fmt: skip
        self._catalogue = catalogue
        self._generation = -1
        self._secret = {job_type: list(found) for job_type, found in (earlier or {}).items()}
        self._look_up = look_up
        self._looked_up: set[tuple[str, int]] = set()
        self._looked_up_at, self._again_seconds = time.monotonic(), again_seconds

    @property
    def _schemas(self) -> dict[str, list[Any]]:
        """The schemas with secrets, by type."""
        if self._generation != self._catalogue.generation:
            self._generation = self._catalogue.generation
            self._add({job_type: [schema] for job_type, schema in secret_schemas(self._catalogue).items()})
        return self._secret

    def _add(self, found: Mapping[str, Sequence[Any]]) -> None:
        for job_type, schemas in found.items():
            known = self._secret.get(job_type, [])
            self._secret[job_type] = [*known, *(schema for schema in schemas if schema not in known)]  # at once: threads read it

    # ---- what other machines know -----------------------------------------------------------------------------

    async def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """See Redact."""
        if self._look_up is not None:
            await self._learn(_request_of(event) for event in events if event.type in _CARRIERS)
        return [self.event(event) for event in events]

    async def jobs(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Their JSON forms as they may be shown."""
        documents = [job.as_json() for job in jobs]
        await self._learn(documents)
        return [self.job(document) for document in documents]

    async def schedules(self, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The JSON forms of schedules as they may be shown."""
        await self._learn(document.get("template") for document in documents)
        return [self.schedule(document) for document in documents]

    def searched(self, loop: asyncio.AbstractEventLoop) -> Callable[[str, Any], Any]:
        """As `payload`, for the threads that index and search: they ask of a type that is new here, and again after a while."""
        asked: set[str] = set()

        def shown(job_type: str, payload: Any) -> Any:
            if self._look_up is not None and (self._is_stale() or (job_type not in asked and not self._knows(job_type))):
                try:
                    asyncio.run_coroutine_threadsafe(self._learn([{"type": job_type}]), loop).result(LOOK_UP_SECONDS)
                except TimeoutError:
                    raise StoreUnavailable from None
                asked.add(job_type)
            return self.payload(job_type, payload)

        return shown

    async def _learn(self, requests: Iterable[Any]) -> None:
        """Asks the store once for a type and version, each time for a request that names no version, and again after a while."""
        if self._look_up is None:
            return
        kinds = {(request["type"], request.get("task_version")) for request in requests
                 if isinstance(request, dict) and isinstance(request.get("type"), str) and isinstance(request.get("task_version"), int | None)}
        unknown = {(job_type, version) for job_type, version in kinds if not self._knows_version(job_type, version)}
        if unknown or (kinds and self._is_stale()):
            asked_at = time.monotonic()
            self._add(await self._look_up())
            self._looked_up_at = asked_at
            self._looked_up |= {(job_type, version) for job_type, version in unknown if version is not None}

    def _is_stale(self) -> bool:
        return time.monotonic() - self._looked_up_at >= self._again_seconds

    def _knows_version(self, job_type: str, version: int | None) -> bool:
        own = self._catalogue.get(job_type).version if job_type in self._catalogue else None
        return version is not None and (version == own or (job_type, version) in self._looked_up)

    # ---- what is known here -----------------------------------------------------------------------------------

    @property
    def hides(self) -> bool:
        """Whether any known type has a secret."""
        return bool(self._schemas)

    @property
    def version(self) -> str:
        """Another whenever `payload` may answer otherwise."""
        texts = {job_type: sorted(map(strict_json.dumps_text, schemas)) for job_type, schemas in self._schemas.items()}
        return hashlib.sha256(strict_json.dumps(texts)).hexdigest()[:16]

    def understands(self, event: Event) -> bool:
        """Whether it can be told which parts of this event, of whatever origin, are secret."""
        if event.type not in EVENT_TYPES:
            return False
        if event.type not in _CARRIERS:
            return True
        request = _request_of(event)
        return isinstance(request, dict) and isinstance(request.get("type"), str) and self._knows(request["type"])

    def _knows(self, job_type: str) -> bool:
        return job_type in self._catalogue or job_type in self._schemas

    def payload(self, job_type: Any, payload: Any) -> Any:
        """The payload as it may be shown; the same object when nothing is hidden."""
        schemas = self._schemas.get(job_type)
        if schemas is None:
            return payload
        shown = redact_by(schemas, payload)
        if isinstance(payload, dict) and not isinstance(shown, dict):  # all of it is secret, and still an object
            return dict.fromkeys(payload, REDACTED)
        return shown

    def refused(self, document: dict[str, Any]) -> dict[str, Any]:
        """A refused job request as it may be kept. Of a type with secrets, only what a request and its payload really hold
        is shown: a secret may stand under a misspelt name."""
        schemas = self._schemas.get(document.get("type", ""))
        if schemas is None:
            return document
        payload = redact_by(schemas, document.get("payload"), strict=True)
        return {**redact_by([schema_files.schema("job-batch-item")], document, strict=True), "payload": payload}

    def event(self, event: Event) -> Event:
        """The event as it may leave the store; the same object when nothing is hidden."""
        if not self._schemas or event.document["type"] not in _CARRIERS:
            return event
        data = event.data
        shown = self._request(data) if event.type not in _TEMPLATES else self._template(data)
        return event if shown is data else Event({**event.document, "data": shown})

    def job(self, document: dict[str, Any]) -> dict[str, Any]:
        """The same for a job's JSON form."""
        shown: dict[str, Any] = self._request(document)
        return shown

    def schedule(self, document: dict[str, Any]) -> dict[str, Any]:
        """The same for a schedule's JSON form, whose template holds a payload."""
        shown: dict[str, Any] = self._template(document)
        return shown

    def _template(self, data: Any) -> Any:
        template = data.get("template") if isinstance(data, dict) else None
        shown = self._request(template)
        return data if shown is template else {**data, "template": shown}

    def _request(self, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("type"), str):
            return data
        payload = data.get("payload")
        shown = self.payload(data["type"], payload)
        return data if shown is payload else {**data, "payload": shown}


def _request_of(event: Event) -> Any:
    """The job request within an event's data; a schedule's is its template."""
    return event.data.get("template") if event.type in _TEMPLATES and isinstance(event.data, dict) else event.data
