"""Retention under a steady load: whether the data files stop growing, and what dropping costs those who submit."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure
from tests.bench.scenarios import MEGABYTE, MILLISECONDS, Plan, port_of, run_client, started
from tests.bench.watching import Observer, percentile
from tests.support.system import ROOT

Say = Callable[[str], None]
DAY_SECONDS = 86_400.0
PERIODS = 8
SETTLED = 3  # periods until the files hold what they hold for good
RATE = 200.0


def retention(plan: Plan, say: Say) -> tuple[list[Figure], dict[str, Any]]:
    """A steady load over eight retention periods, and the same load where nothing is ever dropped."""
    period = plan.paced_seconds / 2
    kept = _grown(plan, period, say)
    for_ever = _answered(plan, 0.0, 2 * period)
    sizes = [size / MEGABYTE for size in kept["bytes"]]
    each = kept["remembered_bytes"]
    settled = [size - rows * each / MEGABYTE for size, rows in zip(sizes, kept["remembered"], strict=True)]
    growth = (settled[-1] - settled[SETTLED - 1]) / settled[SETTLED - 1] * 100
    without = (for_ever["bytes"] - kept["empty_bytes"]) / for_ever["jobs"] * kept["jobs"] / MEGABYTE
    there = f"of {kept['jobs']:,} jobs {kept['there']:,} are there"
    note = f"{' '.join(f'{size:.1f}' for size in sizes)} MB after each; {without:.0f} if nothing were dropped; {there}"
    dropped = f"p50 {kept['p50_ms']:.1f}; {kept['dropped']:,} jobs dropped"
    figures = [
        Figure(f"growth of the data file, period {SETTLED} to {PERIODS}", growth, "%", 5, note=note, runs=settled),
        Figure("  without how each dropped job ended, for a day", each, "bytes", note="a job; for whoever sends its idempotency key again"),
        Figure("  the search index beside it", kept["index_bytes"] / MEGABYTE, "MB", note="it forgets dropped jobs by the 20,000, or hourly"),
        Figure(f"submit to end at {RATE:g} jobs/s with retention, p99", kept["p99_ms"], "ms", note=dropped),
        Figure("  without", for_ever["p99_ms"], "ms", note=f"p50 {for_ever['p50_ms']:.1f}"),
    ]
    return figures, {"with": kept, "without": for_ever}


def _plan(plan: Plan, seconds: float) -> Plan:
    """Everything is kept for so many seconds; 0: for ever."""
    days = str(seconds / DAY_SECONDS)
    names = ("SUCCEEDED", "FAILED", "OTHERS", "STATISTICS")
    return replace(plan, environment={**plan.environment, **{f"OBSERVATORY_KEEP_{name}_DAYS": days for name in names}, "OBSERVATORY_TICK_SECONDS": "1"})


def _grown(plan: Plan, period: float, say: Say) -> dict[str, Any]:
    with started(_plan(plan, period), filled=False) as system:
        observer = Observer(system.data)
        empty, sizes, remembered = data_bytes(system.data), [], []
        command = [sys.executable, "-m", "tests.bench.client", "--port", str(port_of(system)), "--rate", str(RATE), "--seconds", str(PERIODS * period)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as client:
            for number in range(1, PERIODS + 1):
                time.sleep(period)
                sizes.append(data_bytes(system.data))
                remembered += observer.row("SELECT count(*) FROM gone")
                (there,) = observer.row("SELECT sum(jobs) FROM counts")
                say(f"  period {number} of {PERIODS} ({period:g} s): {sizes[-1] / MEGABYTE:.1f} MB, {there:,} jobs are there")
            report = _read(client)
        observer.wait_drained(60)
        (dropped,) = observer.row("SELECT coalesce(sum(jobs), 0) FROM checkpoints")
        (pages,) = observer.row("SELECT sum(pgsize) FROM dbstat WHERE name IN ('gone', 'gone_by_age')")
        (rows,) = observer.row("SELECT count(*) FROM gone")
        observer.close()
        parts = {
            "bytes": sizes, "remembered": remembered, "remembered_bytes": pages / max(rows, 1), "empty_bytes": empty, "dropped": dropped,
            "there": there, "index_bytes": data_bytes(system.data, "search.db"),
        }  # fmt: skip
        return _times(report) | parts | {"period_seconds": period}


def _answered(plan: Plan, period: float, seconds: float) -> dict[str, Any]:
    with started(_plan(plan, period), filled=False) as system:
        report = run_client(system, "--rate", str(RATE), "--seconds", str(seconds))
        return _times(report) | {"bytes": data_bytes(system.data)}


def _read(client: "subprocess.Popen[str]") -> dict[str, Any]:
    output, _ = client.communicate(timeout=120)
    report: dict[str, Any] = json.loads(output)
    return report


def _times(report: dict[str, Any]) -> dict[str, Any]:
    assert report["statuses"] == {"200": report["accepted"]}, f"not every job ended within its wait: {report['statuses']}"
    times = report["answer_seconds"]
    return {"jobs": report["accepted"], "p50_ms": percentile(times, 50) * MILLISECONDS, "p99_ms": percentile(times, 99) * MILLISECONDS}


def data_bytes(folder: Path, name: str = "observatory.db") -> int:
    """A data file and its write-ahead log."""
    return sum(path.stat().st_size for path in (folder / name, folder / f"{name}-wal") if path.exists())
