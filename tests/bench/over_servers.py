"""`make bench PROFILE=servers`: our system and Celery over the same servers, in turns, at the same batch sizes.

Both give the same guarantees: late acknowledgement, publisher confirms, every result in PostgreSQL, events on. It starts servers
of its own, on folders of its own, and ends them; a run ends when every job has ended and, for ours, statistics, relay and event
log stand at the head of the feed. Processor time is that of everything: both systems' processes, their clients, and the servers.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from contracts.errors import ConfigurationError
from functions.runtime.servers.place import Place
from functions.runtime.servers.servers import NAMES, Servers
from tests.bench import machine
from tests.bench.contenders import PYTHON, Contender, Ours, Peer
from tests.bench.figures import Figure, number, table
from tests.bench.processes import processor_time
from tests.bench.scenarios import DISTURBED_CORES, LOADS, MILLISECONDS, Load, on_disk

TIMES_THE_PEER = 3.0
NEEDED = ("postgres", "redis", "rabbitmq")
BEGAN = time.monotonic()


@dataclass(frozen=True, slots=True)
class Run:
    """One flood, from the first submission to the last end. `parts` is processor time by part, in seconds."""

    jobs: int
    seconds: float
    parts: dict[str, float]
    others_cores: float

    @property
    def jobs_a_second(self) -> float:
        return self.jobs / self.seconds

    @property
    def milliseconds_a_job(self) -> float:
        return sum(self.parts.values()) / self.jobs * MILLISECONDS

    def as_json(self) -> dict[str, Any]:
        return {
            "jobs": self.jobs, "seconds": self.seconds, "jobs_a_second": self.jobs_a_second, "processor_ms_a_job": self.milliseconds_a_job,
            "parts_ms_a_job": {name: spent / self.jobs * MILLISECONDS for name, spent in self.parts.items()}, "cores_used_by_others": self.others_cores,
        }  # fmt: skip


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench PROFILE=servers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs a run (default 10,000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each load and system, whose median counts (default 3)")
    parser.add_argument("--only", default=",".join(load.key for load in LOADS), help=f"some of {','.join(load.key for load in LOADS)}")
    parser.add_argument("--cores", type=int, default=2, help="processor cores for everything, servers and clients included (default 2)")
    parser.add_argument("--processors", type=int, default=1, help="our processes that run jobs (default 1)")
    parser.add_argument("--quick", action="store_true", help="a look in two minutes: 1,500 jobs, one run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also writes every figure and every run there")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the servers keep their data meanwhile (default %(default)s)")
    chosen = parser.parse_args(given)
    if unknown := set(chosen.only.split(",")) - {load.key for load in LOADS}:
        parser.error(f"--only takes some of {', '.join(load.key for load in LOADS)}; not {', '.join(sorted(unknown))}")
    if chosen.quick:
        chosen.jobs, chosen.rounds = min(chosen.jobs, 1_500), 1
    if chosen.jobs < 500:
        parser.error("--jobs takes 500 at least")
    return chosen


def say(line: str) -> None:
    print(f"{time.monotonic() - BEGAN:7.1f} s  {line}", flush=True)


def missing() -> list[str]:
    """What is not here, and how to get it."""
    lacking = [f"{name} is not here: {how}" for name, how in Servers(Place(Path.cwd(), os.environ)).missing(NEEDED).items()]
    if not PYTHON.exists():
        lacking.append("Celery is not here: `make bench PROFILE=servers` installs it, into .venv-celery")
    return lacking


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Those that there are, started in a folder that is removed afterwards."""
    work = Path(tempfile.mkdtemp(prefix="observatory-bench-", dir=folder))
    work.chmod(0o755)  # servers that run as users of their own go in
    started = Servers(Place(work, os.environ), mongo=os.environ.get("OBSERVATORY_MONGO_SERVER", ""), say=say)
    names = [name for name in NAMES if name not in started.missing([name])]
    if "mongo" not in names:
        say("no MongoDB server here: without an event log of its own (OBSERVATORY_MONGO_SERVER names one)")
    try:
        started.start(names)
        yield started
    finally:
        started.stop()
        shutil.rmtree(work, ignore_errors=True)


# ---- one run --------------------------------------------------------------------------------------------------------


def measured(contender: Contender, load: Load, jobs: int, running: Servers) -> Run:
    """One flood of a system that is started for it and stopped after it."""
    wanted = jobs // load.batch * load.batch
    with contender.started():
        spent, busy = _spent(contender, running), machine.busy_seconds()
        before = contender.ended()
        client = contender.flood(wanted, load)
        assert client["accepted"] == wanted, f"{client['accepted']} of {wanted} jobs were accepted: {client.get('statuses')}"
        ended = contender.wait_drained(before + wanted, 60 + wanted / 20)
        busy = machine.busy_seconds() - busy
        parts = {name: value - spent.get(name, 0.0) for name, value in _spent(contender, running).items()} | {"client": client["processor_seconds"]}
        contender.check(before + wanted)
    seconds = ended - client["began"]
    return Run(wanted, seconds, parts, max(busy - sum(parts.values()), 0.0) / seconds)


def _spent(contender: Contender, running: Servers) -> dict[str, float]:
    """Processor seconds by part, since each part began."""
    of_servers = {name: processor_time(process.pid).total for name in NAMES if (process := running.running(name)) is not None}
    return contender.processor_seconds() | of_servers


def _sentence(run: Run) -> str:
    disturbed = f"; others used {run.others_cores:.2f} cores meanwhile" if run.others_cores > DISTURBED_CORES else ""
    return f"{run.jobs_a_second:,.0f} jobs/s ({run.jobs:,} in {run.seconds:.1f} s), {run.milliseconds_a_job:.2f} ms of processor time a job{disturbed}"


# ---- all of them ----------------------------------------------------------------------------------------------------


def compare(load: Load, contenders: Sequence[Contender], chosen: argparse.Namespace, running: Servers) -> tuple[list[Figure], dict[str, Any]]:
    """Every system in turn, `rounds` times; who begins changes each round."""
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    for turn in range(chosen.rounds):
        for contender in contenders if turn % 2 == 0 else reversed(contenders):
            run = measured(contender, load, chosen.jobs, running)
            runs[contender.name].append(run)
            say(f"  {contender.name}, {load.words}: {_sentence(run)}")
    ours, peer = (runs[contender.name] for contender in contenders)
    ratio = median(run.jobs_a_second for run in ours) / median(run.jobs_a_second for run in peer)
    figures = [
        *(_figures(f"{contender.name}, {load.words}", runs[contender.name]) for contender in contenders),
        [Figure(f"times Celery, {load.words}", ratio, "", TIMES_THE_PEER, more_is_better=True)],
    ]
    return [figure for each in figures for figure in each], {name: [run.as_json() for run in found] for name, found in runs.items()}


def _figures(name: str, runs: Sequence[Run]) -> list[Figure]:
    rates, costs = [run.jobs_a_second for run in runs], [run.milliseconds_a_job for run in runs]
    disturbed = max(run.others_cores for run in runs)
    note = f"others used {disturbed:.2f} cores" if disturbed > DISTURBED_CORES else ""
    return [
        Figure(name, median(rates), "jobs/s", note=note, runs=rates),
        Figure("  processor time of everything", median(costs), "ms a job", note=_parts(runs), runs=costs),
    ]


def _parts(runs: Sequence[Run]) -> str:
    """The parts in ms a job, the dearest first."""
    names = {name for run in runs for name in run.parts}
    cost = {name: median(run.parts.get(name, 0.0) / run.jobs * MILLISECONDS for run in runs) for name in names}
    return ", ".join(f"{name} {number(value)}" for name, value in sorted(cost.items(), key=lambda item: -item[1]))


def main(given: Sequence[str] | None = None) -> int:
    chosen = arguments(given)
    if lacking := missing():
        print("\n".join(f"error: {line}" for line in lacking), file=sys.stderr)
        return 2
    if not on_disk(chosen.folder):
        print(f"error: {chosen.folder} is in memory, where nothing is synced: name a folder on a disk with --folder", file=sys.stderr)
        return 2
    cores = machine.keep_to_cores(chosen.cores)
    facts = machine.describe(chosen.folder, cores)
    say(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()))
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    try:
        with servers(chosen.folder) as running:
            contenders = (Ours(running, chosen.processors), Peer(running, chosen.cores))
            for load in LOADS:
                if load.key in chosen.only.split(","):
                    found, details[load.key] = compare(load, contenders, chosen, running)
                    figures += found
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\n{table(figures)}\n")
    print(f"{len(cores)} cores for servers, systems and clients together; both with late acknowledgement, publisher confirms, every result in")
    print("PostgreSQL, and events on; Celery's worker is prefork, one process a core, and its client publishes over as many connections.")
    if chosen.json:
        document = {"machine": facts, "figures": [figure.as_json() for figure in figures], "runs": details}
        chosen.json.write_text(json.dumps(document, indent=2) + "\n")
        print(f"Every run is in {chosen.json}.")
    return 1 if any(figure.verdict == "MISSED" for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
