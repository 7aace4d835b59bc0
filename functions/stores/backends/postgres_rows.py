"""Rows on their way to PostgreSQL: lists of objects as one JSON text, which a statement takes apart again."""

import base64
from collections.abc import Iterable
from typing import Any

import orjson

from contracts.ids import is_uuid
from contracts.job import JOB_FIELDS, JSON_FIELDS, Attempt, Job, job_values
from functions.stores.rows import MUTABLE, to_json


def packed(rows: Iterable[Any]) -> str:
    """A list as the value of a `json` parameter."""
    return orjson.dumps(list(rows)).decode()


def named(names: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> str:
    """Rows under these names."""
    return packed(dict(zip(names, row, strict=True)) for row in rows)


def uuids(ids: Iterable[str]) -> list[str]:
    """Those that are ids at all, in order; the database refuses the others."""
    return sorted(job_id for job_id in set(ids) if is_uuid(job_id))


def new_row(job: Job) -> dict[str, Any]:
    """A whole job; what is NULL is left out."""
    row = {name: value for name, value in zip(JOB_FIELDS, job_values(job), strict=True) if value is not None}
    for name in JSON_FIELDS & row.keys():
        row[name] = to_json(row[name])
    row.setdefault("payload", "null")
    return row


def changed_row(job: Job) -> dict[str, Any]:
    """What a move may have changed."""
    row = {name: getattr(job, name) for name in MUTABLE}
    row["id"] = job.id
    for name in ("result", "error", "progress"):
        if row[name] is not None:
            row[name] = to_json(row[name])
    return row


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    return {
        "job_id": attempt.job_id, "lease_token": attempt.lease_token, "attempt": attempt.attempt, "worker": attempt.worker,
        "instance": attempt.instance, "claimed_at": attempt.claimed_at, "started_at": attempt.started_at, "finished_at": attempt.finished_at,
        "outcome": attempt.outcome, "error": to_json(attempt.error), "output": _base64(attempt.output),
    }  # fmt: skip


def _base64(text: str | None) -> str | None:
    return None if text is None else base64.b64encode(text.encode(errors="replace")).decode()


def plain(text: str) -> str:
    """Text that a text column takes: without NUL, which PostgreSQL has no room for."""
    return text.replace("\x00", "\ufffd")
