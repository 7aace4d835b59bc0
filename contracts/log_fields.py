"""What a log line says besides its sentence: a stable action, and the ids by which job, event and trace are found."""

from typing import Any

from contracts.event import Event
from contracts.trace import trace_id


def about(action: str, event: Event | None = None, /, **more: Any) -> dict[str, Any]:
    """The `extra` of a log line. `action` is a literal that observability/README.md documents; of an event it names the id,
    of a job's event the job, and the trace where there is one. What is None is left out."""
    fields: dict[str, Any] = {"action": action, **more}
    if event is not None:
        subject = event.subject or ""
        fields["event_id"] = event.document.get("id")
        fields["job_id"] = subject.removeprefix("job/") if subject.startswith("job/") else None
        fields["trace_id"] = trace_id(event.attribute("traceparent"))
    return {name: value for name, value in fields.items() if value is not None}
