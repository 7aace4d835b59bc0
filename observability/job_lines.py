"""A line for each attempt that ended: for people on a terminal, or into the log with the ids of job, event and trace."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from contracts.event import Event
from contracts.event_types import JOB_CANCELLED, JOB_FAILED, JOB_RETRYING, JOB_SUCCEEDED
from contracts.log_fields import about
from observability.logs import printable

log = logging.getLogger("observatory.jobs")
WORDS = {JOB_SUCCEEDED: "succeeded", JOB_FAILED: "FAILED", JOB_CANCELLED: "cancelled", JOB_RETRYING: "retrying"}
TEXT_MOST = 120


def printed(write: Callable[[str], Any]) -> Callable[[Sequence[Event]], None]:
    """For a store's commits: writes a line each, all lines of a commit at once."""

    def committed(events: Sequence[Event]) -> None:
        lines = [f"{event.document['time'][11:23]}  {_line(event)}\n" for event in events if event.type in WORDS]
        if lines:
            write("".join(lines))

    return committed


def logged(events: Sequence[Event]) -> None:
    """The same for the log."""
    for event in events:
        if event.type == JOB_RETRYING:
            log.info("%s", _line(event), extra=about("job.retrying", event, **_facts(event)))
        elif event.type in WORDS:
            log.info("%s", _line(event), extra=about("job.ended", event, status=event.data["to"], **_facts(event)))


def _facts(event: Event) -> dict[str, Any]:
    document = event.document
    return {
        "job_type": document["jobtype"], "queue": document["queue"], "attempt": int(document["attempt"]), "ran_seconds": event.data.get("ran_seconds")
    }  # fmt: skip


def _line(event: Event) -> str:
    document, data = event.document, event.data
    line = f"{WORDS[event.type]:<9}  {document['jobtype']:<20}  {document['subject'][4:]}"
    ran = data.get("ran_seconds")
    if ran is not None:
        line += f"  {ran:.3f} s"
    if int(document["attempt"]) > 1:
        line += f"  attempt {document['attempt']}"
    text = (data.get("error") or {}).get("message") or data.get("reason")
    if text and event.type != JOB_SUCCEEDED:
        line += f"  {printable(str(text))[:TEXT_MOST]}"
    return line
