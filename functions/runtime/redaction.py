"""Hides what a task's schema marks with `x-secret` on every way out of the store."""

import hashlib
from typing import Any

from contracts import strict_json
from contracts.catalogue import Catalogue
from contracts.event import Event
from contracts.event_types import EVENT_TYPES, JOB_ACCEPTED, JOB_REQUESTED, full_name
from contracts.redaction import REDACTED, has_secrets, redact

_TEMPLATES = frozenset(full_name(f"schedule.{change}") for change in ("created", "updated", "deleted", "paused", "resumed"))
_CARRIERS = frozenset({JOB_ACCEPTED, JOB_REQUESTED, *_TEMPLATES})


class Redactor:
    """Redacts by the schemas of a catalogue as it stands. A payload of a type that it does not know passes as it is."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._generation = -1
        self._secret: dict[str, Any] = {}

    @property
    def _schemas(self) -> dict[str, Any]:
        """The schemas with secrets, by type."""
        if self._generation != self._catalogue.generation:
            generation, tasks = self._catalogue.generation, self._catalogue.definitions()
            self._secret = {task.type: task.schema for task in tasks if has_secrets(task.schema)}
            self._generation = generation
        return self._secret

    @property
    def hides(self) -> bool:
        """Whether any known type has a secret."""
        return bool(self._schemas)

    @property
    def version(self) -> str:
        """Another whenever `payload` may answer otherwise."""
        return hashlib.sha256(strict_json.dumps(self._schemas)).hexdigest()[:16]

    def understands(self, event: Event) -> bool:
        """Whether it can be told which parts of this event, of whatever origin, are secret."""
        if event.type not in EVENT_TYPES:
            return False
        if event.type not in _CARRIERS:
            return True
        request = event.data.get("template") if event.type in _TEMPLATES and isinstance(event.data, dict) else event.data
        return isinstance(request, dict) and isinstance(request.get("type"), str) and request["type"] in self._catalogue

    def payload(self, job_type: Any, payload: Any) -> Any:
        """The payload as it may be shown; the same object when nothing is hidden."""
        schema = self._schemas.get(job_type)
        if schema is None:
            return payload
        shown = redact(schema, payload)
        if isinstance(payload, dict) and not isinstance(shown, dict):  # all of it is secret, and still an object
            return dict.fromkeys(payload, REDACTED)
        return shown

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
