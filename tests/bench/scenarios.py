"""What is measured. Each run has the real system in its own processes, on a fresh copy of the filled data folder."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tests.bench.figures import PEER_JOBS_A_SECOND, Figure
from tests.bench.filled_store import fresh_copy
from tests.bench.machine import busy_seconds, file_system
from tests.bench.processes import memory_bytes, processor_time
from tests.bench.watching import Observer, SyncTrace, percentile
from tests.support.system import ROOT, System

Say = Callable[[str], None]
MILLISECONDS = 1e3
MEGABYTE = 1e6
QUIET_SHARE = 0.05  # of a core, below which a system is at rest
DISTURBED_CORES = 0.15  # used by others (the kernel's write-back included), above which a figure says so


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: `filled` is the folder to copy, `work` where copies live."""

    filled: Path
    work: Path
    store_jobs: int = 1_000_000
    jobs: int = 50_000
    rounds: int = 3
    paced_seconds: float = 20.0
    sync_jobs: int = 5_000
    starts: int = 5
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """A way to submit: `batch` jobs a request over so many connections."""

    key: str
    words: str
    batch: int
    connections: int


LOADS = (
    Load("batches-100", "batches of 100, 4 connections", 100, 4),
    Load("batches-500", "batches of 500, 4 connections", 500, 4),
    Load("singles", "one POST a job, 64 connections", 1, 64),
)


@contextlib.contextmanager
def started(plan: Plan, *, filled: bool = True) -> Iterator[System]:
    """A system on a fresh copy, at rest; the copy is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=plan.work))
    try:
        if filled:
            fresh_copy(plan.filled, folder / "data")
        with System(folder / "data", **plan.environment) as system:
            wait_quiet(system)
            yield system
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pid_of(system: System) -> int:
    assert system.process is not None
    return system.process.pid


def port_of(system: System) -> int:
    return urlsplit(system.url).port or 80


def wait_quiet(system: System, seconds: float = 60.0) -> None:
    """Returns when the system uses hardly any processor time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = processor_time(pid_of(system)).total
        time.sleep(0.5)
        if processor_time(pid_of(system)).total - before < 0.5 * QUIET_SHARE:
            return
    raise TimeoutError(f"the system is not at rest after {seconds:g} s")


def run_client(system: System, *arguments: str) -> dict[str, Any]:
    """The load client in its own process; its report."""
    command = [sys.executable, "-m", "tests.bench.client", "--port", str(port_of(system)), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the load client failed:\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


# ---- throughput -------------------------------------------------------------------------------------------------


def throughput(plan: Plan, load: Load, say: Say) -> tuple[list[Figure], list[dict[str, Any]]]:
    """No-op jobs from the first submission until all have ended and statistics and relay stand at the head."""
    runs = []
    for number in range(plan.rounds):
        runs.append(_flooded(plan, load))
        say(f"  {load.words}: run {number + 1} of {plan.rounds}: {_sentence(runs[-1])}")
    rates = [run["jobs_a_second"] for run in runs]
    costs = [run["processor_ms_a_job"] for run in runs]
    shares = [run["client_processor_ms_a_job"] for run in runs]
    figures = [
        Figure(f"jobs/s, {load.words}", median(rates), "jobs/s", PEER_JOBS_A_SECOND, more_is_better=True, note=_spread(runs), runs=rates),
        Figure("  processor time of the system", median(costs), "ms a job", note=_shares(runs), runs=costs),
        Figure("  processor time of the client", median(shares), "ms a job", runs=shares),
    ]
    return figures, runs


def _flooded(plan: Plan, load: Load) -> dict[str, Any]:
    jobs = plan.jobs // load.batch * load.batch
    with started(plan) as system:
        observer = Observer(system.data)
        since, file_before = observer.mark(), _file_bytes(system)
        before, busy_before = processor_time(pid_of(system)), busy_seconds()
        client = run_client(system, "--jobs", str(jobs), "--batch", str(load.batch), "--connections", str(load.connections))
        ended = observer.wait_drained(60 + jobs / 100)
        spent, busy = processor_time(pid_of(system)).since(before), busy_seconds() - busy_before
        assert client["accepted"] == jobs, f"{client['accepted']} of {jobs} jobs were accepted: {client['statuses']}"
        observer.check_noops(since, jobs)
        in_store = observer.seconds_in_store(since)
        observer.close()
        return {
            "jobs": jobs,
            "seconds": ended - client["began"],
            "submitting_seconds": client["ended"] - client["began"],
            "jobs_a_second": jobs / (ended - client["began"]),
            "processor_ms_a_job": spent.total / jobs * MILLISECONDS,
            "parent_processor_ms_a_job": spent.parent / jobs * MILLISECONDS,
            "client_processor_ms_a_job": client["processor_seconds"] / jobs * MILLISECONDS,
            "cores_used_by_others": max(busy - spent.total - client["processor_seconds"], 0.0) / (ended - client["began"]),
            "answer_ms_p50": percentile(client["answer_seconds"], 50) * MILLISECONDS,
            "answer_ms_p99": percentile(client["answer_seconds"], 99) * MILLISECONDS,
            "in_store_seconds_p50": percentile(in_store, 50),
            "in_store_seconds_max": in_store[-1],
            "bytes_a_job": (_file_bytes(system) - file_before) / jobs,
            "memory_bytes_after": sum(memory_bytes(pid_of(system)).values()),
        }


def _file_bytes(system: System) -> int:
    return sum(path.stat().st_size for path in system.data.iterdir() if path.name.endswith(".db"))


def _sentence(run: dict[str, Any]) -> str:
    return (
        f"{run['jobs_a_second']:,.0f} jobs/s ({run['jobs']:,} in {run['seconds']:.2f} s, submitted in {run['submitting_seconds']:.2f} s), "
        f"{run['processor_ms_a_job']:.3f} ms of processor time a job (client {run['client_processor_ms_a_job']:.3f}), "
        f"answers p50 {run['answer_ms_p50']:.1f} ms, p99 {run['answer_ms_p99']:.1f} ms{_disturbance(run)}"
    )


def _disturbance(run: dict[str, Any]) -> str:
    others = run["cores_used_by_others"]
    return f"; others used {others:.2f} cores meanwhile" if others > DISTURBED_CORES else ""


def _spread(runs: list[dict[str, Any]]) -> str:
    rates = sorted(run["jobs_a_second"] for run in runs)
    text = f"median of {len(rates)}: {', '.join(f'{rate:,.0f}' for rate in rates)}" if len(rates) > 1 else "one run"
    return text + _disturbance(max(runs, key=lambda run: run["cores_used_by_others"]))


def _shares(runs: list[dict[str, Any]]) -> str:
    parent = median(run["parent_processor_ms_a_job"] for run in runs)
    return f"of it the parent {parent:.3f}, the workers the rest"


# ---- latency ----------------------------------------------------------------------------------------------------


def latency(plan: Plan, say: Say) -> tuple[list[Figure], dict[str, Any]]:
    """A steady 100 jobs/s: from when a job was due to be sent until its `?wait=` answer is back, and the store's own times."""
    with started(plan) as system:
        observer = Observer(system.data)
        since, before = observer.mark(), processor_time(pid_of(system))
        client = run_client(system, "--rate", "100", "--seconds", str(plan.paced_seconds))
        spent = processor_time(pid_of(system)).since(before)
        observer.wait_drained(60)
        jobs = client["accepted"]
        assert client["statuses"] == {"200": jobs}, f"not every job ended within its wait: {client['statuses']}"
        observer.check_noops(since, jobs)
        trips, in_store = client["answer_seconds"], observer.seconds_in_store(since)
        observer.close()
    report = {
        "jobs": jobs,
        "trip_ms_p50": percentile(trips, 50) * MILLISECONDS,
        "trip_ms_p99": percentile(trips, 99) * MILLISECONDS,
        "trip_ms_max": trips[-1] * MILLISECONDS,
        "in_store_ms_p50": percentile(in_store, 50) * MILLISECONDS,
        "in_store_ms_p99": percentile(in_store, 99) * MILLISECONDS,
        "processor_share": spent.total / plan.paced_seconds,
    }
    say(f"  100 jobs/s for {plan.paced_seconds:g} s: submit to end p50 {report['trip_ms_p50']:.1f} ms, p99 {report['trip_ms_p99']:.1f} ms, "
        f"{report['processor_share']:.0%} of a core")  # fmt: skip
    note = f"?wait= round trip; accepted to ended by the store's clock {report['in_store_ms_p50']:.1f}, p99 {report['in_store_ms_p99']:.1f}"
    return [
        Figure("submit to end at 100 jobs/s, p50", report["trip_ms_p50"], "ms", 50, note=note),
        Figure("submit to end at 100 jobs/s, p99", report["trip_ms_p99"], "ms", note=f"slowest {report['trip_ms_max']:.0f} ms"),
    ], report


# ---- syncs ------------------------------------------------------------------------------------------------------


def syncs(plan: Plan, say: Say) -> tuple[list[Figure], dict[str, Any]]:
    """Commits and syncs of the write-ahead log, traced by strace in a short run of its own (tracing slows everything)."""
    name = "commits not synced before the next"
    if not SyncTrace.is_possible():
        return [Figure(name, None, "", note="strace is not installed (Debian: apt-get install strace)")], {}
    with started(plan) as system:
        observer = Observer(system.data)
        since = observer.mark()
        try:
            with SyncTrace(pid_of(system), system.data) as trace:
                run_client(system, "--jobs", str(plan.sync_jobs), "--connections", "64")
                observer.wait_drained(120)
        except RuntimeError as error:
            return [Figure(name, None, "", note=str(error))], {}
        finally:
            observer.close()
    seen = trace.seen
    assert seen.commits, f"the trace saw no commit (events {since.events})"
    say(f"  {plan.sync_jobs:,} jobs under strace: {seen.commits:,} commits, {seen.syncs:,} syncs of the log")
    note = f"{seen.commits:,} commits, {seen.syncs:,} syncs of the write-ahead log for {plan.sync_jobs:,} jobs"
    return [Figure(name, seen.commits_without_sync, "", 1, note=note)], {
        "jobs": plan.sync_jobs, "commits": seen.commits, "syncs": seen.syncs, "commits_without_sync": seen.commits_without_sync,
    }  # fmt: skip


# ---- at rest, and from nothing ----------------------------------------------------------------------------------


def memory(plan: Plan, say: Say) -> tuple[list[Figure], dict[str, Any]]:
    """Memory of all processes at rest: just started on the filled store, and after a load."""
    with started(plan) as system:
        fresh = memory_bytes(pid_of(system))
        run_client(system, "--jobs", str(min(plan.jobs, 10_000)), "--batch", "100")
        observer = Observer(system.data)
        observer.wait_drained(120)
        observer.close()
        wait_quiet(system)
        used = memory_bytes(pid_of(system))
    totals = [sum(part.values()) / MEGABYTE for part in (fresh, used)]
    say(f"  memory at rest: {totals[0]:.0f} MB, after 10,000 jobs {totals[1]:.0f} MB")
    note = ", ".join(f"{name.split(' ', 1)[1]} {size / MEGABYTE:.0f}" for name, size in fresh.items())
    return [
        Figure("memory at rest, everything", totals[0], "MB", 150, note=f"proportional set size: {note}"),
        Figure("memory at rest after 10,000 jobs", totals[1], "MB", 150),
    ], {"fresh": fresh, "after_load": used}


def start(plan: Plan, say: Say) -> tuple[list[Figure], dict[str, Any]]:
    """From starting what `make run` starts until a job is accepted: on an empty folder, and on the filled one."""
    empty = [_start_once(plan, filled=False) for _ in range(plan.starts)]
    full = [_start_once(plan, filled=True) for _ in range(min(plan.rounds, plan.starts))]
    say(f"  start to first job accepted: {median(empty):.2f} s on an empty folder, {median(full):.2f} s on the filled one")
    return [
        Figure("start to first job accepted, empty folder", median(empty), "s", 2, note=_seconds(empty), runs=empty),
        Figure("start to first job accepted, filled store", median(full), "s", 2, note=_seconds(full), runs=full),
    ], {"empty": empty, "filled": full}


def _seconds(values: list[float]) -> str:
    return f"median of {len(values)}, slowest {max(values):.2f}"


def _start_once(plan: Plan, *, filled: bool) -> float:
    folder = Path(tempfile.mkdtemp(prefix="start-", dir=plan.work))
    port = _free_port()
    try:
        if filled:
            fresh_copy(plan.filled, folder / "data")
        began = time.monotonic()
        system = System(folder / "data", **{**plan.environment, "OBSERVATORY_PORT": str(port)}).start(wait=False)
        try:
            while not _accepts(port):
                if system.process is not None and system.process.poll() is not None:
                    raise RuntimeError(f"the system ended:\n{system.said()}")
                if time.monotonic() - began > 60:
                    raise TimeoutError(f"no job is accepted after 60 s:\n{system.said()}")
                time.sleep(0.005)
            return time.monotonic() - began
        finally:
            system.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _accepts(port: int) -> bool:
    request = Request(f"http://127.0.0.1:{port}/v1/jobs", b'{"type":"demo.noop","payload":{}}', {"content-type": "application/json"})
    try:
        with urlopen(request, timeout=30) as answer:
            return bool(answer.status == 202)
    except (URLError, ConnectionError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def on_disk(folder: Path) -> bool:
    """Whether a folder is on a disk: in memory, nothing is ever synced."""
    return file_system(folder) not in ("tmpfs", "ramfs") and os.access(folder, os.W_OK)
