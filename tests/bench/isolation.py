"""I18: what a type that always fails at once, or kills its workers, costs the others of their throughput."""

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

from tests.bench.figures import Figure
from tests.bench.scenarios import Plan, started
from tests.bench.watching import Observer
from tests.support.system import System

Say = Callable[[str], None]
WELL = "isolation.well"
OFFENDERS = {"isolation.fail": "always fails at once", "isolation.kill": "kills its worker"}
BATCH = 500
SHARE = 30  # one offending job for so many others; all of them are older, and enough of them to go on until the others ended
LEAST = 90.0  # per cent


def isolation(plan: Plan, say: Say) -> tuple[list[Figure], dict[str, Any]]:
    """No-op jobs alone, and behind a heap of offending ones, in turns on one system; the ratio of their throughputs."""
    jobs = max(plan.jobs * 3 // 5, 3_000)
    environment = {**plan.environment, "OBSERVATORY_TASKS": "tests.flows.isolation_tasks", "OBSERVATORY_TICK_SECONDS": "1", "OBSERVATORY_DRAIN_SECONDS": "0"}
    figures, runs = [], {}
    for offender, words in OFFENDERS.items():
        with started(replace(plan, environment=environment), filled=False) as system:
            observer = Observer(system.data)
            _throughput(system, observer, None, jobs)
            pairs = []
            for number in range(plan.rounds):
                alone, beside = (_throughput(system, observer, kind, jobs) for kind in (None, offender))
                pairs.append((alone, beside))
                say(f"  a type that {words}, run {number + 1} of {plan.rounds}: {beside:,.0f} jobs/s of the others, alone {alone:,.0f} ({beside / alone:.0%})")
            observer.close()
        ratios = [beside / alone * 100 for alone, beside in pairs]
        note = f"{jobs:,} jobs behind {jobs // SHARE:,}; " + ", ".join(f"{beside:,.0f} of {alone:,.0f} jobs/s" for alone, beside in pairs)
        figures.append(Figure(f"others' throughput beside a type that {words}", median(ratios), "%", LEAST, more_is_better=True, note=note, runs=ratios))
        runs[offender] = pairs
    return figures, runs


def _throughput(system: System, observer: Observer, offender: str | None, jobs: int) -> float:
    """Jobs a second of the type that does well, from the queue's opening until the last of them ended."""
    system.request("POST", "/v1/queues/default/pause")
    since = observer.mark()
    for job_type, count in ((offender, jobs // SHARE), (WELL, jobs)):
        if job_type is not None:
            for begin in range(0, count, BATCH):
                system.request("POST", "/v1/jobs/batch", {"jobs": [{"type": job_type, "payload": {}}] * min(BATCH, count - begin)})
    opened = time.monotonic()
    system.request("POST", "/v1/queues/default/resume")
    ended = observer.wait_ended(WELL, 300)
    observer.wait_drained(600)
    assert observer.row("SELECT count(*) FROM jobs WHERE number > ? AND type = ? AND status = 'succeeded'", since.jobs or 0, WELL) == (jobs,)
    return jobs / (ended - opened)
