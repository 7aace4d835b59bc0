"""Alerts, checked from the outside: begin and end take turns in the log, and the kept rows are the ones that the log leaves open."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]


def violations(streams: Mapping[str, Sequence[Document]], rows: Sequence[Mapping[str, Any]], pruned: bool) -> Iterator[str]:
    """What does not hold of the streams `alert/...` and the rows of the table."""
    kept = {row["id"]: json.loads(row["state"]) for row in rows}
    for stream, documents in streams.items():
        if not stream.startswith("alert/"):
            continue
        alert_id = stream.removeprefix("alert/")
        yield from _turns(alert_id, documents, pruned)
        state = kept.get(alert_id)
        is_raised = state is not None and state["raised_at"] is not None
        if is_raised != _begins(documents[-1]):
            yield f"I7: alert {alert_id} is {'kept as' if is_raised else 'not'} raised, but its last event is {documents[-1]['type']}"
    for alert_id, state in kept.items():
        if state["raised_at"] is not None and f"alert/{alert_id}" not in streams and not pruned:
            yield f"I7: alert {alert_id} is kept as raised, but the log never told it"


def _turns(alert_id: str, documents: Sequence[Document], pruned: bool) -> Iterator[str]:
    severity = "critical" if pruned else None  # of the raised alert; after retention nobody knows how the stream began
    for document in documents:
        told = document["data"]["severity"]
        if not _begins(document):
            if severity is None:
                yield f"I5: alert {alert_id} ends at {document['id']}, but it was not raised"
            severity = None
        else:
            if severity is not None and not pruned and (severity, told) != ("warning", "critical"):
                yield f"I5: alert {alert_id} is raised twice, at {document['id']} as {told} after {severity}"
            severity = told


def _begins(document: Document) -> bool:
    return document["type"] == "dev.observatory.alert.raised.v1"
