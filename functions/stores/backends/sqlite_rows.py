"""Between rows of SQLite and the objects they stand for."""

from typing import Any

import orjson

from contracts.job import JOB_FIELDS, Job, job_values
from functions.stores.rows import JSON_AT, MUTABLE, job_of, to_json

__all__ = ["COLUMNS", "MUTABLE", "PACKED", "PACKED_WITHOUT_PAYLOAD", "insert_values", "job_of", "to_json", "unpack", "update_values"]

_PAYLOAD_AT = JOB_FIELDS.index("payload")

COLUMNS = ", ".join(JOB_FIELDS)
PACKED = f"json_array(number, {COLUMNS})"  # one text a job, so that many jobs are one row and one step
PACKED_WITHOUT_PAYLOAD = PACKED.replace(" payload,", " NULL,")


def unpack(text: str | None) -> list[tuple[int, Job]]:
    """(number, job) of each element of `json_group_array(PACKED)`."""
    return [(row[0], job_of(row[1:])) for row in orjson.loads(text or "[]")]


def insert_values(job: Job, number: int) -> list[Any]:
    """The row of a new job, `number` first."""
    values: list[Any] = [number, *job_values(job)]
    for index in JSON_AT:
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
