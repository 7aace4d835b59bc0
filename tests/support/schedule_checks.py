"""Schedules as the log tells them, in plain Python apart from the product: the table must say so, and each due time is one job."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.log_fold import micros

KEPT = ("cron", "every_seconds", "timezone")


def violations(streams: Mapping[str, list[dict[str, Any]]], rows: list[dict[str, Any]], jobs: Mapping[str, dict[str, Any]], keys: Mapping[str, str],
               pruned: bool) -> Iterator[str]:  # fmt: skip
    """I7 for the table, I15 for the firings. `streams`: stream -> documents; `keys`: idempotency key -> job id."""
    told = {stream[9:]: _folded(documents) for stream, documents in streams.items() if stream.startswith("schedule/")}
    there = {name: state for name, state in told.items() if state is not None}
    stored = {row["name"]: _of_row(row) for row in rows}
    for name in sorted({*there, *stored}):
        if name not in there or name not in stored:
            yield f"I7: schedule {name} is {'there' if name in stored else 'missing'}, but the log says otherwise"
        else:
            for field, value in there[name].items():
                if stored[name][field] != value:
                    yield f"I7: schedule {name}: {field} is {stored[name][field]}, but the log says {value}"
    yield from _firings(streams, jobs, keys, pruned)


def _of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    definition = json.loads(row["definition"])
    timing = definition["timing"]
    return {"paused": bool(row["paused"]), "next_at": row["next_at"], "last_at": row["last_at"], "last_job_id": row["last_job_id"],
            "template": definition["template"], "overlap": definition["overlap"], **{name: timing[name] for name in KEPT}}  # fmt: skip


def _folded(documents: list[dict[str, Any]]) -> dict[str, Any] | None:
    state: dict[str, Any] | None = None
    for document in documents:
        what, data = document["type"].split(".")[3], document["data"]
        if what in ("created", "updated"):
            before = state or {"last_at": None, "last_job_id": None}
            state = {**before, **{name: data[name] for name in (*KEPT, "template", "overlap", "paused")}, "next_at": micros(data["next_at"])}
        elif what == "deleted":
            state = None
        elif state is not None and what == "paused":
            state.update(paused=True, next_at=None)
        elif state is not None and what == "resumed":
            state.update(paused=False, next_at=micros(data["next_at"]))
        elif state is not None:
            state["next_at"] = micros(data["next_at"])
            if what == "fired":
                state.update(last_at=micros(data["due_at"]), last_job_id=data["job_id"])
    return state


def _firings(streams: Mapping[str, list[dict[str, Any]]], jobs: Mapping[str, dict[str, Any]], keys: Mapping[str, str], pruned: bool) -> Iterator[str]:
    fired = [document for stream, documents in streams.items() if stream.startswith("schedule/") for document in documents
             if document["type"].split(".")[3] == "fired"]  # fmt: skip
    dues = Counter((document["data"]["name"], document["data"]["due_at"]) for document in fired if not document["data"]["manual"])
    for (name, due), times in dues.items():
        if times > 1:
            yield f"I15: schedule {name} fired {due} {times} times"
    by_job = {document["data"]["job_id"]: document for document in fired}
    if len(by_job) != len(fired):
        yield "I15: a job is told of by two firings"
    for job_id, document in by_job.items():
        if job_id not in jobs:
            if not pruned:
                yield f"I3: {document['id']} fired job {job_id}, which is not there"
            continue
        key = f"schedule:{document['data']['name']}:{document['data']['due_at']}"
        if not document["data"]["manual"] and keys.get(key) != job_id:
            yield f"I15: {document['id']} fired job {job_id}, but its key stands for {keys.get(key)}"
    for job in jobs.values():
        if job["schedule"] is not None and job["id"] not in by_job and not pruned:
            yield f"I2: job {job['id']} is of schedule {job['schedule']}, but nothing fired it"
