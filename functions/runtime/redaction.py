"""Hides what a task's schema marks with `x-secret` on every way out of the store."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from contracts import schema_files, strict_json
from contracts.catalogue import Catalogue
from contracts.event import Event
from contracts.event_types import EVENT_TYPES, JOB_ACCEPTED, JOB_REQUESTED, full_name
from contracts.redaction import REDACTED, has_secrets, redact_by

_TEMPLATES = frozenset(full_name(f"schedule.{change}") for change in ("created", "updated", "deleted", "paused", "resumed"))
_CARRIERS = frozenset({JOB_ACCEPTED, JOB_REQUESTED, *_TEMPLATES})


def secret_schemas(catalogue: Catalogue) -> dict[str, Any]:
    """The payload schemas of a catalogue that mark secrets, by type."""
    return {task.type: task.schema for task in catalogue.definitions() if has_secrets(task.schema)}


class Redactor:
    """Redacts by the schemas of a catalogue, as it stands and as it stood since this was made, and by `earlier` ones, which
    the tasks of this deployment once had (JobStore's `remember_secrets`): what was once hidden stays so. A payload of a
    type that none of them knows passes as it is."""

    def __init__(self, catalogue: Catalogue, earlier: Mapping[str, Sequence[Any]] | None = None) -> None:
        self._catalogue = catalogue
        self._generation = -1
        self._secret = {job_type: list(found) for job_type, found in (earlier or {}).items()}

    @property
    def _schemas(self) -> dict[str, list[Any]]:
        """The schemas with secrets, by type."""
        if self._generation != self._catalogue.generation:
            self._generation = self._catalogue.generation
            for job_type, schema in secret_schemas(self._catalogue).items():
                known = self._secret.setdefault(job_type, [])
                if schema not in known:
                    known.append(schema)
        return self._secret

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
        request = event.data.get("template") if event.type in _TEMPLATES and isinstance(event.data, dict) else event.data
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
