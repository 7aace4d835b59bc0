"""From a job request as sent to one that a store takes: its type's payload schema, its queue, its bounds, its defaults."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from contracts import strict_json, validation
from contracts.catalogue import Catalogue
from contracts.errors import ContentTooLarge, ContractViolation, Fault, UnknownQueue
from contracts.job import JobRequest
from contracts.times import from_rfc3339, to_micros


@dataclass(frozen=True, slots=True)
class Intake:
    """Checks requests against the catalogue and the declared queues, within the bounds of the settings: who asks for a longer
    timeout is refused; who asks for none gets the type's own, up to that bound."""

    catalogue: Catalogue
    queues: Collection[str]
    payload_bytes: int = 262_144
    timeout_seconds_max: float = 86_400.0

    def request(self, document: dict[str, Any], now: int) -> JobRequest:
        """What a document that keeps `job-request.json` asks for, every default filled in; who asks is left open.

        Raises UnknownTaskType, UnknownQueue, ContractViolation, ContentTooLarge, with pointers into the document.
        """
        task = self.catalogue.get(document["type"])
        payload = document.get("payload", {})
        self.check_payload(task.type, payload)
        queue = document.get("queue", task.queue)
        self.check_queue(queue)
        timeout = document.get("timeout_seconds", min(task.timeout_seconds, self.timeout_seconds_max))
        self.check_timeout(timeout)
        delay = document.get("delay_seconds")
        return JobRequest(
            type=task.type,
            payload=payload,
            task_version=task.version,
            queue=queue,
            priority=document.get("priority", task.priority),
            max_attempts=document.get("max_attempts", task.max_attempts),
            timeout_seconds=float(timeout),
            backoff=task.backoff,
            run_at=now + to_micros(delay) if delay is not None else _instant(document, "run_at"),
            expires_at=_instant(document, "expires_at"),
            unique_key=document.get("unique_key"),
            tags=document.get("tags", []),
            parent_id=document.get("parent_id"),
            depends_on=document.get("depends_on", []),
            on_parent_failure=document.get("on_parent_failure", "cancel"),
        )

    def template(self, template: dict[str, Any], now: int) -> JobRequest:
        """What a schedule's template asks for now. Raises what `request` raises, and ContractViolation for its frame."""
        validation.validate_job_request(template)
        return self.request(template, now)

    def check_payload(self, task_type: str, payload: Any) -> None:
        """Raises UnknownTaskType, ContractViolation with pointers below `/payload`, ContentTooLarge."""
        self.catalogue.payload_schema(task_type).check(payload, "/payload")
        if not payload:
            return
        size = len(strict_json.dumps(payload))
        if size > self.payload_bytes:
            raise ContentTooLarge(f"the payload has {size} bytes; at most {self.payload_bytes} are taken: "
                                  "store it elsewhere and send its address", faults=[Fault("/payload", "too large")])  # fmt: skip

    def check_queue(self, queue: str) -> None:
        """Raises UnknownQueue."""
        if queue not in self.queues:
            raise UnknownQueue(f"there is no queue {queue!r}; known are {', '.join(sorted(self.queues))}",
                               faults=[Fault("/queue", "not a declared queue")])  # fmt: skip

    def check_timeout(self, seconds: float) -> None:
        """Raises ContractViolation."""
        if seconds > self.timeout_seconds_max:
            raise ContractViolation(faults=[Fault("/timeout_seconds", f"at most {self.timeout_seconds_max:g}; "
                                                  "raise OBSERVATORY_TIMEOUT_SECONDS_MAX to allow more")])  # fmt: skip


def fingerprint(document: dict[str, Any]) -> bytes:
    """SHA-256 of the canonical request as sent (rule 8); the key is none of it, so that a header and a batch name the same."""
    return hashlib.sha256(strict_json.dumps({name: value for name, value in document.items() if name != "idempotency_key"})).digest()


def _instant(document: dict[str, Any], name: str) -> int | None:
    text = document.get(name)
    if text is None:
        return None
    try:
        return from_rfc3339(text)
    except (ValueError, OverflowError):
        raise ContractViolation(faults=[Fault(f"/{name}", "an RFC 3339 instant with a zone, such as 2026-11-24T08:00:00Z")]) from None
