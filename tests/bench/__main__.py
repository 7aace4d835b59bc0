"""`make bench`: measures the embedded system on this machine and says whether it keeps its targets.

Bounded and on loopback alone; it starts and stops its own systems on folders of its own and touches no other.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.bench import crowd, machine, scenarios
from tests.bench.figures import PEER, Figure, table
from tests.bench.filled_store import default_cache, filled_folder
from tests.bench.isolation import isolation
from tests.bench.keeping import retention
from tests.bench.queries import searches
from tests.bench.scenarios import LOADS, Plan
from tests.bench.varied_jobs import VariedJobs


def _queries(plan: Plan, say: Callable[[str], None]) -> tuple[list[Figure], dict[str, Any]]:
    """On a store of their own, with jobs of all kinds; it is made once, and so is its index."""
    return searches(filled_folder(plan.store_jobs, plan.filled.parent, say, VariedJobs()), say)


def _crowd(plan: Plan, say: Callable[[str], None]) -> tuple[list[Figure], dict[str, Any]]:
    with scenarios.started(plan) as system:
        found = crowd.measured(system, say)
    return crowd.figures(found), found


OTHERS = {
    "crowd": _crowd, "latency": scenarios.latency, "queries": _queries, "syncs": scenarios.syncs, "memory": scenarios.memory, "start": scenarios.start,
    "isolation": isolation, "retention": retention,
}  # fmt: skip
NAMES = (*(load.key for load in LOADS), *OTHERS)
BEGAN = time.monotonic()


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=50_000, help="jobs a run (default 50,000)")
    parser.add_argument("--store-jobs", type=int, default=1_000_000, help="ended jobs in the store beforehand (default 1,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each load, whose median counts (default 3)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the steady load (default 20)")
    parser.add_argument("--only", default=",".join(NAMES), help=f"some of {','.join(NAMES)}")
    parser.add_argument("--cores", type=int, default=2, help="processor cores for everything, the client included (default 2)")
    parser.add_argument("--workers", type=int, default=0, help="worker processes (default: the system's own choice)")
    parser.add_argument("--quick", action="store_true", help="a look in a minute: 5,000 jobs, 20,000 in the store, one run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also writes every figure and every run there")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where filled stores are kept and copied (default %(default)s)")
    chosen = parser.parse_args(given)
    if unknown := set(chosen.only.split(",")) - set(NAMES):
        parser.error(f"--only takes some of {', '.join(NAMES)}; not {', '.join(sorted(unknown))}")
    if chosen.quick:
        chosen.jobs, chosen.store_jobs, chosen.rounds, chosen.seconds = 5_000, 20_000, 1, 5.0
    return chosen


def say(line: str) -> None:
    print(f"{time.monotonic() - BEGAN:7.1f} s  {line}", flush=True)


def measure(plan: Plan, names: Sequence[str]) -> tuple[list[Figure], dict[str, Any]]:
    """Every figure, and what it was made from."""
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    for load in LOADS:
        if load.key in names:
            say(f"{plan.jobs:,} no-op jobs, {load.words}")
            found, details[load.key] = scenarios.throughput(plan, load, say)
            figures += found
    for name, scenario in OTHERS.items():
        if name in names:
            say(name)
            more, details[name] = _one(scenario, plan)
            figures += more
    return figures, details


def _one(scenario: Callable[..., tuple[list[Figure], dict[str, Any]]], plan: Plan) -> tuple[list[Figure], dict[str, Any]]:
    return scenario(plan, say)


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(given)
    cores = machine.keep_to_cores(chosen.cores)
    chosen.cache.mkdir(parents=True, exist_ok=True)
    if not scenarios.on_disk(chosen.cache):
        print(f"error: {chosen.cache} is in memory, where nothing is synced: name a folder on a disk with --cache", file=sys.stderr)
        return 2
    facts = machine.describe(chosen.cache, cores)
    say(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()))
    filled = filled_folder(chosen.store_jobs, chosen.cache, say)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=chosen.cache))
    environment = {"OBSERVATORY_WORKERS": str(chosen.workers)} if chosen.workers else {}
    plan = Plan(filled, work, chosen.store_jobs, chosen.jobs, chosen.rounds, chosen.seconds, environment=environment)
    try:
        figures, details = measure(plan, chosen.only.split(","))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"\n{table(figures)}\n")
    print(f"{len(cores)} cores for the system and the client together; {chosen.store_jobs:,} ended jobs in the store before each run;")
    print("a run ends when every job has ended and the cursors of statistics and relay stand at the head of the feed.")
    print(PEER)
    if chosen.json:
        document = {"machine": facts, "store_jobs": chosen.store_jobs, "figures": [f.as_json() for f in figures], "runs": details}
        chosen.json.write_text(json.dumps(document, indent=2) + "\n")
        print(f"Every run is in {chosen.json}.")
    return 1 if any(figure.verdict == "MISSED" for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
