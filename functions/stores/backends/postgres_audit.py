"""What an audit reads of PostgreSQL, and how it mends the tables from the log."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import orjson

from contracts import event_types as types
from contracts.event import Event
from contracts.folding import Folded
from contracts.job import Attempt, Job
from functions.stores.backends.postgres_database import PostgresDatabase
from functions.stores.backends.postgres_reading import by_state
from functions.stores.backends.postgres_rows import named, new_row, packed, uuids
from functions.stores.backends.postgres_statements import call
from functions.stores.backends.postgres_transaction import Transaction
from functions.stores.job_store import Waiting
from functions.stores.rows import ENDS, job_of, to_json, waiting_of

History = tuple[int, Job, list[Event], list[Attempt]]


async def counted(database: PostgresDatabase) -> tuple[int, dict[tuple[str, str, str], int]]:
    head, counts = await database.read(call("head"), call("counted"))
    return head[0][0], by_state(counts)


async def jobs_with_history(database: PostgresDatabase, after: int, limit: int) -> list[History]:
    async with database.snapshot() as snapshot:
        jobs = [(row[0], job_of(row[1:])) for row in await snapshot.rows("jobs_by_number", after=after, limit=limit)]
        ids = uuids(job.id for _, job in jobs)
        told, ended = await snapshot.ask(
            call("bodies_of_streams", streams=[f"job/{job_id}" for job_id in ids]), call("attempts_of_jobs", ids=ids)
        )
    events: dict[str, list[Event]] = defaultdict(list)
    for stream, body in told:
        events[stream[4:]].append(Event(orjson.loads(body)))
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for row in ended:
        attempts[row[0]].append(Attempt(*(*row[:9], orjson.loads(row[9]) if row[9] else None, None)))
    return [(number, job, events[job.id], attempts[job.id]) for number, job in jobs]


async def missing(database: PostgresDatabase, job_ids: Sequence[str]) -> list[str]:
    return [row[0] for row in await database.rows("missing_jobs", ids=uuids(job_ids))]


async def waiting(database: PostgresDatabase, job_ids: Sequence[str]) -> list[Waiting]:
    return waiting_of(await database.rows("waiting", ids=uuids(job_ids), ends=list(ENDS), reopened=types.JOB_REOPENED))


# ---- mending ----------------------------------------------------------------------------------------------------


async def restore(transaction: Transaction, histories: Sequence[tuple[str, Folded]]) -> None:
    for job_id, folded in histories:
        if folded.job is None:
            for name in ("drop_attempts", "drop_effects", "drop_jobs"):
                transaction.add(name, ids=[job_id])
            continue
        await _restore_row(transaction, folded.job)
        ended = [attempt for attempt in folded.attempts.values() if attempt.outcome != "running"]
        columns = ("job_id", "lease_token", "attempt", "worker", "instance", "claimed_at", "finished_at", "outcome", "error")
        rows = [(job_id, a.lease_token, a.attempt, a.worker, a.instance, a.claimed_at, a.finished_at, a.outcome, to_json(a.error)) for a in ended]
        transaction.add("restore_attempts", rows=named(columns, rows))
        transaction.add("drop_untold_attempts", id=job_id, tokens=[attempt.lease_token for attempt in ended])
    transaction.add("lock_placing")
    transaction.add("forget_counts")
    transaction.add("count_again")


def restore_waiting(transaction: Transaction, open_parents: Mapping[str, Sequence[str]]) -> None:
    counts = [(job_id, len(parents)) for job_id, parents in open_parents.items()]
    transaction.add("restore_open_parents", rows=named(("id", "open_parents"), counts))
    transaction.add("settle_edges_of", ids=uuids(open_parents))
    edges = [(parent, job_id) for job_id, parents in open_parents.items() for parent in parents]
    transaction.add("restore_edges", rows=named(("parent_id", "child_id"), edges))


async def _restore_row(transaction: Transaction, job: Job) -> None:
    row = new_row(job)
    if not await transaction.rows("restore_job", row=packed([row])[1:-1]):
        transaction.add("insert_jobs", rows=packed([row | ({"lease_until": 0} if job.status == "running" else {})]))
