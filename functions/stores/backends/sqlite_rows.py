"""Between rows of SQLite and the objects they stand for."""

from collections.abc import Sequence
from typing import Any

import orjson

from contracts.job import JOB_FIELDS, JSON_FIELDS, Job, job_values

# What an update may change; the rest is as accepted.
MUTABLE = (
    "status", "result", "error", "attempt", "attempts_allowed", "lease_token", "lease_until", "worker", "cancel_requested_at",
    "cancel_actor", "cancel_reason", "progress", "open_parents", "queued_at", "run_at", "started_at", "finished_at", "sequence",
)  # fmt: skip
_JSON_AT = tuple(index for index, name in enumerate(JOB_FIELDS) if name in JSON_FIELDS)
_PAYLOAD_AT = JOB_FIELDS.index("payload")
_EMPTY_LIST = "[]"

COLUMNS = ", ".join(JOB_FIELDS)
PACKED = f"json_array(number, {COLUMNS})"  # one text a job, so that many jobs are one row and one step
PACKED_WITHOUT_PAYLOAD = PACKED.replace(" payload,", " NULL,")


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
    for index in _JSON_AT:
        text = row[index]
        if text is not None:
            row[index] = [] if text == _EMPTY_LIST else orjson.loads(text)
    return Job(*row)


def unpack(text: str | None) -> list[tuple[int, Job]]:
    """(number, job) of each element of `json_group_array(PACKED)`."""
    return [(row[0], job_of(row[1:])) for row in orjson.loads(text or "[]")]


def insert_values(job: Job, number: int) -> list[Any]:
    """The row of a new job, `number` first."""
    values: list[Any] = [number, *job_values(job)]
    for index in _JSON_AT:
        values[index + 1] = to_json(values[index + 1])
    if job.payload is None:
        values[_PAYLOAD_AT + 1] = "null"
    return values


def update_values(job: Job, number: int) -> list[Any]:
    """`number` and the mutable columns."""
    return [
        number, job.status, to_json(job.result), to_json(job.error), job.attempt, job.attempts_allowed, job.lease_token,
        job.lease_until, job.worker, job.cancel_requested_at, job.cancel_actor, job.cancel_reason, to_json(job.progress),
        job.open_parents, job.queued_at, job.run_at, job.started_at, job.finished_at, job.sequence,
    ]  # fmt: skip
