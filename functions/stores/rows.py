"""Between rows and the objects they stand for: what every store's tables have in common."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from contracts import event_types as types
from contracts.job import JOB_FIELDS, JSON_FIELDS, Job
from functions.stores.job_store import Waiting

# What an update may change; the rest is as accepted.
MUTABLE = (
    "status", "result", "error", "attempt", "attempts_allowed", "lease_token", "lease_until", "worker", "cancel_requested_at",
    "cancel_actor", "cancel_reason", "progress", "open_parents", "queued_at", "run_at", "started_at", "finished_at", "sequence",
)  # fmt: skip
ENDS = (types.JOB_SUCCEEDED, types.JOB_FAILED, types.JOB_CANCELLED)
JSON_AT = tuple(index for index, name in enumerate(JOB_FIELDS) if name in JSON_FIELDS)
_EMPTY_LIST = "[]"


def to_json(value: Any) -> str | None:
    """A JSON column's text; None stays NULL."""
    if value is None:
        return None
    if value == []:
        return _EMPTY_LIST
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def job_of(values: Sequence[Any]) -> Job:
    """A job from its columns in the order of JOB_FIELDS."""
    row = list(values)
    for index in JSON_AT:
        text = row[index]
        if text is not None:
            row[index] = [] if text == _EMPTY_LIST else orjson.loads(text)
    return Job(*row)


def waiting_of(rows: Iterable[Sequence[Any]]) -> list[Waiting]:
    """From a row for each job and parent, in order: job, open_parents, parent (None: it names none), whether the job is still to be
    told of its end, whether by the log it has not ended."""
    found: dict[str, tuple[int, list[str], list[str], list[str]]] = {}
    for job_id, count, parent, is_told, is_open in rows:
        _, parents, told_by, still_open = found.setdefault(job_id, (count, [], [], []))
        for names, counts in ((parents, True), (told_by, is_told), (still_open, is_open)):
            if parent is not None and counts:
                names.append(parent)
    return [Waiting(job_id, *of_job) for job_id, of_job in found.items()]
