"""Jobs that hang together, as nodes and edges."""

from collections.abc import Iterator
from typing import Any

from contracts.job import Job
from functions.stores.job_store import Family

SHOWN = (
    "id", "type", "queue", "status", "attempt", "attempts_allowed", "parent_id", "depends_on", "open_parents", "on_parent_failure",
    "created_at", "run_at", "started_at", "finished_at",
)  # fmt: skip


def graph(family: Family) -> dict[str, Any]:
    """`{"nodes": [job, ...], "edges": [{"from", "to", "kind"}, ...], "truncated"}`: parents before their children; an edge leads
    from what comes first to what follows, by `depends_on` or by `parent`. An end that is no node was dropped by retention,
    or is further away than `limit` allows."""
    edges = [{"from": origin, "to": job.id, "kind": kind} for job in family.jobs for origin, kind in _origins(job)]
    return {"nodes": [_node(job) for job in family.jobs], "edges": edges, "truncated": not family.complete}


def _origins(job: Job) -> Iterator[tuple[str, str]]:
    yield from ((parent, "depends_on") for parent in job.depends_on)
    if job.parent_id is not None:
        yield job.parent_id, "parent"


def _node(job: Job) -> dict[str, Any]:
    document = job.as_json()
    return {name: document[name] for name in SHOWN}
