"""Folds the log and holds what is stored against it; mends what differs. Beside a running system, or on its own.

As a program (`python -m functions.runtime.rebuild`) it writes JSON lines: progress, differences, and at the end the report.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from contracts.errors import ObservatoryError
from contracts.folding import fold_job
from contracts.schedule import fold_schedule
from contracts.times import to_rfc3339
from functions.runtime import settings as settings_module
from functions.runtime.at_rest import alone, stores_at_rest
from functions.runtime.settings import Settings
from functions.stores.audit import Audit, Difference, Progress
from functions.stores.clock import wall_clock
from functions.stores.job_store import JobStore
from functions.stores.stats_store import StatsStore

SHOWN = 200


def check(settings: Settings, progress: Progress, found: Callable[[Difference], None]) -> dict[str, Any]:
    """Names every difference between log and stores. Raises ConfigurationError without a data folder, StoreUnavailable."""
    return asyncio.run(_check(settings, progress, found))


async def _check(settings: Settings, progress: Progress, found: Callable[[Difference], None]) -> dict[str, Any]:
    store, stats = await stores_at_rest(settings)
    try:
        return await _audit(store, stats, progress, found)
    finally:
        await stats.close()
        await store.close()


async def _audit(store: JobStore, stats: StatsStore, progress: Progress, found: Callable[[Difference], None]) -> dict[str, Any]:
    audit, begun, count = Audit(store, stats, progress), time.monotonic(), 0
    async for difference in audit.differences():
        count += 1
        found(difference)
    return {"as_of": to_rfc3339(wall_clock()), "jobs": audit.jobs, "events": audit.events, "differences": count,
            "seconds": round(time.monotonic() - begun, 3)}  # fmt: skip


def apply(settings: Settings, progress: Progress, *, table: bool) -> dict[str, Any]:
    """Mends the statistics, and with `table` the jobs, attempts, schedules and counts, from the log. Raises DataFolderInUse while the
    system runs."""
    return asyncio.run(_apply(settings, progress, table))


async def _apply(settings: Settings, progress: Progress, table: bool) -> dict[str, Any]:
    from functions.metrics_engine.service import MetricsEngine

    store, stats = await stores_at_rest(settings)
    try:
        async with alone(settings, store):
            wrong: list[Difference] = []
            await _audit(store, stats, progress, wrong.append)
            if table:
                await _mend_table(store, wrong)
            if any(difference.part == "statistics" for difference in wrong):
                await stats.clear()
                await MetricsEngine(store, stats).catch_up()
            left: list[Difference] = []
            report = await _audit(store, stats, progress, left.append)
        return report | {"mended": len(wrong) - len(left), "left": [difference.as_json() for difference in left[:SHOWN]]}
    finally:
        await stats.close()
        await store.close()


async def _mend_table(store: JobStore, wrong: list[Difference]) -> None:
    """Rows from their streams, schedules too; a stream that is broken itself is left alone, for nobody knows what it was to say."""
    broken = {difference.ids[0] for difference in wrong if difference.part == "log" and difference.ids}
    jobs = sorted({str(difference.ids[0]) for difference in wrong if difference.part in ("job", "attempt") and difference.ids} - broken)
    histories = [(job_id, fold_job([event.document for event in await store.events_of(f"job/{job_id}")])) for job_id in jobs]
    schedules = {str(difference.ids[0]) for difference in wrong if difference.part == "schedule"}
    if schedules:
        histories_of = {name: events for name, _, events in await store.schedules_with_history()}
        await store.restore_schedules({name: fold_schedule(event.document for event in histories_of[name]) for name in sorted(schedules)})
    if histories or any(difference.part == "counts" for difference in wrong):
        await store.restore(histories)
    families = {str(difference.ids[0]) for difference in wrong if difference.part == "family"}
    await _mend_families(store, sorted((families | set(jobs)) - broken), broken)


async def _mend_families(store: JobStore, jobs: list[str], broken: set[Any]) -> None:
    """What jobs wait for from their parents' streams, if those are whole; whose parents have all ended goes on as it should have."""
    waiting = {job.job_id: job for job in await store.waiting(jobs)}
    whole = [job_id for job_id in jobs if job_id not in waiting or broken.isdisjoint(waiting[job_id].parents)]
    if whole:
        await store.restore_waiting({job_id: waiting[job_id].open if job_id in waiting else () for job_id in whole})
        await store.free_waiting({job_id: waiting[job_id].parents for job_id in whole if job_id in waiting})


def main() -> int:
    """JSON lines for whoever started this: {"progress": ...}, {"difference": ...}, and {"report": ...} or {"error": ...}."""

    def tell(document: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()

    def progress(what: str, done: int, total: int) -> None:
        tell({"progress": {"what": what, "done": done, "total": total}})

    try:
        tell({"report": check(settings_module.load(), progress, lambda difference: tell({"difference": difference.as_json()}))})
    except ObservatoryError as error:
        tell({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
