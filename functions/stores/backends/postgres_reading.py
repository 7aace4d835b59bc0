"""What readers ask of PostgreSQL: jobs, events, dead letters."""

from collections.abc import Sequence
from typing import Any

import orjson

from contracts.errors import JobNotFound, NotFound
from contracts.event import Event
from contracts.job import Attempt, Job
from contracts.times import to_rfc3339
from functions.stores.backends.postgres_audience import event_at
from functions.stores.backends.postgres_database import PostgresDatabase
from functions.stores.backends.postgres_rows import uuids
from functions.stores.backends.postgres_statements import call
from functions.stores.cursors import decode_cursor, encode_cursor
from functions.stores.job_store import DeadLetter, Family, Page, QueueState
from functions.stores.rows import job_of

ABOVE_ALL = 1 << 62
EVENTS_A_SEARCH = 20_000

# ---- jobs -------------------------------------------------------------------------------------------------------


async def job(database: PostgresDatabase, job_id: str) -> Job:
    rows = await database.rows("job", ids=uuids([job_id]))
    if not rows:
        raise JobNotFound(f"there is no job {job_id}")
    return job_of(rows[0])


async def statuses(database: PostgresDatabase, job_ids: Sequence[str]) -> dict[str, str]:
    return dict(await database.rows("statuses", ids=uuids(job_ids)))


async def family(database: PostgresDatabase, job_id: str, limit: int) -> Family:
    await job(database, job_id)
    async with database.snapshot() as snapshot:
        near = [row[0] for row in await snapshot.rows("family", id=job_id, limit=limit + 1)]
        rows = await snapshot.rows("read_bare_jobs", ids=near[:limit])
    return Family([job_of(row) for row in rows], len(near) <= limit)


async def attempts(database: PostgresDatabase, job_id: str) -> list[Attempt]:
    rows, ended = await database.read(call("job", ids=uuids([job_id])), call("attempts", ids=uuids([job_id])))
    if not rows:
        raise JobNotFound(f"there is no job {job_id}")
    found, current = [_attempt(row) for row in ended], job_of(rows[0])
    if current.status == "running":
        worker = current.worker or ""
        found.append(Attempt(job_id, current.lease_token, current.attempt, worker, worker, current.started_at or 0,
                             None, None, "running", None, None))  # fmt: skip
    return found


def _attempt(row: Sequence[Any]) -> Attempt:
    return Attempt(*(*row[:9], orjson.loads(row[9]) if row[9] else None, bytes(row[10]).decode() if row[10] is not None else None))


async def effects(database: PostgresDatabase, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for job_id, step, value in await database.rows("effects", ids=uuids(job_ids)):
        found.setdefault(job_id, {})[step] = orjson.loads(value)
    return found


def by_state(rows: Sequence[Sequence[Any]]) -> dict[tuple[str, str, str], int]:
    """(queue, type, status) -> jobs."""
    return {(queue, kind, status): jobs for queue, kind, status, jobs in rows}


async def queues(database: PostgresDatabase) -> list[QueueState]:
    counts, rows, workers = await database.read(call("counts"), call("queues"), call("workers"))
    depth: dict[tuple[str, str], int] = {}
    for (queue, _, status), jobs in by_state(counts).items():
        depth[queue, status] = depth.get((queue, status), 0) + jobs
    seen: dict[str, dict[str, int]] = {}
    for queue, worker, at in workers:
        seen.setdefault(queue, {})[worker] = at
    return [
        QueueState(name, limit, rate, paused, by, at, depth.get((name, "queued"), 0), depth.get((name, "running"), 0), oldest, seen.get(name, {}))
        for name, limit, rate, paused, by, at, oldest in rows
    ]


# ---- the feed ---------------------------------------------------------------------------------------------------


async def head(database: PostgresDatabase) -> int:
    return int((await database.rows("head"))[0][0])


async def feed(database: PostgresDatabase, after: int, limit: int) -> list[Event]:
    return [event_at(*row) for row in await database.rows("feed", after=after, limit=limit)]


async def events_of(database: PostgresDatabase, stream: str, after: int, limit: int) -> list[Event]:
    return [event_at(*row) for row in await database.rows("events_of", stream=stream, after=after, limit=limit)]


async def recent_events(database: PostgresDatabase, limit: int, before: int | None, event_type: str | None) -> list[Event]:
    types = [event_type] if event_type is not None else []
    rows = await database.rows("events_before", before=before if before is not None else ABOVE_ALL, floor=0, types=types, limit=limit)
    return [event_at(*row) for row in rows]


async def find_events(database: PostgresDatabase, types: Sequence[str], stream: str | None, limit: int, before: int | None) -> Page[Event]:
    before = await head(database) + 1 if before is None else before
    # a stream has an index, and is small; else so many rows are looked at, and the next page goes on below them
    floor = before - EVENTS_A_SEARCH if types and stream is None else 0
    if stream is None:
        rows = await database.rows("events_before", before=before, floor=floor, types=list(types), limit=limit + 1)
    else:
        rows = await database.rows("events_of_stream_before", stream=stream, before=before, types=list(types), limit=limit + 1)
    found = [event_at(*row) for row in rows]
    if len(found) > limit:
        return Page(found[:limit], str(found[limit - 1].position))
    return Page(found, str(floor) if floor > 1 else None)


# ---- dead letters and refusals ----------------------------------------------------------------------------------


def _letter(row: Sequence[Any]) -> DeadLetter:
    return DeadLetter(*(*row[:8], bytes(row[8]), orjson.loads(row[9]), *row[10:]))


async def dead_letters(database: PostgresDatabase, limit: int, cursor: str | None, status: str | None) -> Page[DeadLetter]:
    before = None if cursor is None else decode_cursor(cursor)
    found = [_letter(row) for row in await database.rows("dead_letters", status=status, before=before, limit=limit + 1)]
    return Page(found[:limit], encode_cursor(found[limit - 1].id) if len(found) > limit else None)


async def dead_letter(database: PostgresDatabase, letter_id: str) -> DeadLetter:
    rows = await database.rows("dead_letter", id=letter_id)
    if not rows:
        raise NotFound(f"there is no dead letter {letter_id}")
    return _letter(rows[0])


async def dead_letter_of(database: PostgresDatabase, trigger: str, source: str, event_id: str) -> DeadLetter | None:
    rows = await database.rows("dead_letter_of", trigger=trigger, source=source, event_id=event_id)
    return _letter(rows[0]) if rows else None


async def secret_schemas(database: PostgresDatabase) -> dict[str, list[Any]]:
    """Type -> every schema that ever marked a secret of it."""
    found: dict[str, list[Any]] = {}
    for job_type, schema in await database.rows("secret_schemas"):
        found.setdefault(job_type, []).append(orjson.loads(schema))
    return found


async def refusals(database: PostgresDatabase, limit: int, subject_type: str | None) -> list[dict[str, Any]]:
    return [
        {"minute": to_rfc3339(minute * 60_000_000), "type": kind, "reason": reason, "count": count, "samples": orjson.loads(samples)}
        for minute, kind, reason, count, samples in await database.rows("refusals", limit=limit, subject_type=subject_type)
    ]
