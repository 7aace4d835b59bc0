"""Faults while a load runs that touch every part: stopped processes, a full disk, drains, a hung writer; then the checker."""

import contextlib
import os
import random
import re
import resource
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kills.killing import SETTINGS, is_quiet
from tests.support.checker import check, read_evidence
from tests.support.load import Load
from tests.support.processes import descendants, read_process, starter, workers
from tests.support.system import System, running_system
from tests.support.waiting import wait_until

LEASE_SECONDS = float(SETTINGS["OBSERVATORY_LEASE_SECONDS"])


class Trial:
    """A system under load in a folder of its own."""

    def __init__(self, path: Path, seed: str, **settings: str) -> None:
        self.path = path
        self.system = System(path / "data", OBSERVATORY_TEST_LEDGER=str(path / "handlers.ledger"), **{**SETTINGS, **settings})
        self.load = Load(lambda: self.system.url, path / "client.ledger", seed, calm=0.06)

    @property
    def database(self) -> Path:
        return self.path / "data" / "observatory.db"

    @property
    def pid(self) -> int:
        assert self.system.process is not None
        return self.system.process.pid

    def finish(self) -> None:
        """Lets everything come to its end, and checks that nothing was lost, doubled or left."""
        self.load.settle()
        with contextlib.suppress(AssertionError):  # the checker says what is left
            wait_until(lambda: is_quiet(self.database), 45)
        assert self.system.stop() == 0, self.system.said()[-3000:]
        found = check(self.database, ledger=self.load.ledger.path, handlers=self.path / "handlers.ledger", quiescent=True)
        assert [*self.load.complaints, *found] == []
        assert "Traceback" not in self.system.said()

    def outcomes(self) -> set[str]:
        return {row["outcome"] for row in read_evidence(self.database).tables["attempts"]}


@contextlib.contextmanager
def trial_of(path: Path, seed: str, **settings: str) -> Iterator[Trial]:
    """A trial whose load has begun."""
    trial = Trial(path, seed, **settings)
    try:
        trial.system.start()
        trial.load.go()
        yield trial
    finally:
        with contextlib.suppress(AssertionError):
            trial.load.settle(0)
        trial.system.kill()


@pytest.fixture
def trial(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Trial]:
    with trial_of(tmp_path, f"load-{zlib.crc32(request.node.name.encode())}") as trial:
        yield trial


WHO: dict[str, Callable[[int], list[int]]] = {
    "parent and workers": lambda pid: [pid, *(process.pid for process in descendants(pid))],
    "the parent alone": lambda pid: [pid],
    "the workers alone": lambda pid: [process.pid for process in workers(pid)],
    "the starter alone": lambda pid: [process.pid for process in [starter(pid)] if process],
}


@pytest.mark.parametrize(("who", "times"), [("parent and workers", 1), *(pytest.param(who, 3, marks=pytest.mark.kills) for who in WHO)])
def test_processes_that_are_stopped_past_their_lease_change_nothing_late(trial: Trial, who: str, times: int) -> None:
    """SIGSTOP for longer than the lease, then SIGCONT, in the middle of everything: each job still ends once."""
    for _ in range(times):
        time.sleep(0.4)
        stopped = WHO[who](trial.pid)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(LEASE_SECONDS + 0.5)  # time itself is what is tested
        random.Random(who).shuffle(stopped)
        for pid in stopped:
            if read_process(pid) is not None:
                os.kill(pid, signal.SIGCONT)
    time.sleep(0.3)
    trial.finish()


@pytest.mark.parametrize("times", [1, pytest.param(4, marks=pytest.mark.kills)])
def test_a_disk_that_is_full_for_a_while_costs_no_accepted_job(trial: Trial, times: int) -> None:
    trial.load.heavy = True
    for _ in range(times):
        time.sleep(0.4)
        size = max(path.stat().st_size for path in trial.database.parent.iterdir())
        resource.prlimit(trial.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        time.sleep(1.0)
        resource.prlimit(trial.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    trial.load.heavy = False
    time.sleep(0.3)
    trial.finish()


@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.kills)])
def test_drains_and_restarts_burn_no_attempt(trial: Trial, times: int) -> None:
    """Restarts by SIGTERM, with handlers that finish in time: no lease is lost, nobody has to rescue."""
    for _ in range(times):
        time.sleep(0.5)
        assert trial.system.stop() == 0
        trial.system.start()
    time.sleep(0.3)
    trial.finish()
    assert "lease_lost" not in trial.outcomes()
    assert set(re.findall(r"(\d+) rescued", trial.system.said())) == {"0"}


@pytest.mark.kills
def test_a_drain_without_grace_burns_no_attempt_either(tmp_path: Path) -> None:
    with trial_of(tmp_path, "no-grace", OBSERVATORY_DRAIN_SECONDS="0") as trial:
        for _ in range(4):
            time.sleep(0.5)
            assert trial.system.stop() == 0
            trial.system.start()
        trial.finish()
        assert "lease_lost" not in trial.outcomes()
        assert "released" in trial.outcomes()


def test_running_handlers_that_do_not_listen_are_cancelled_within_ten_seconds(tmp_path: Path) -> None:
    """Asleep, in a Python loop without end, and inside C code."""
    deaf = {"test.deaf": {"seconds": 60}, "test.spin": {"times": 99}, "test.match": {"times": 99}}
    with running_system(tmp_path / "data", **SETTINGS) as system:
        jobs = [system.submit(job_type, payload, timeout_seconds=60) for job_type, payload in deaf.items()]
        for job_id in jobs:
            wait_until(lambda job_id=job_id: system.job(job_id)["status"] == "running")
        asked = time.monotonic()
        for job_id in jobs:
            assert system.request("POST", f"/v1/jobs/{job_id}/cancel", {"reason": "enough"}).status == 202
        for job_id in jobs:
            assert system.ended(job_id)["status"] == "cancelled"
            (attempt,) = system.request("GET", f"/v1/jobs/{job_id}/attempts").json()["items"]
            assert attempt["outcome"] == "cancelled"
        assert time.monotonic() - asked < 10
