"""One data folder's life full of kills: start, load, kill at a seeded point, start again; at the end, quiescence and the checker."""

import contextlib
import random
import sqlite3
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.checker import check
from tests.support.load import Load
from tests.support.processes import Process, descendants, kill_all, starter, survivors, workers
from tests.support.system import System

SETTINGS = {
    "OBSERVATORY_TASKS": "tests.support.tasks", "OBSERVATORY_WORKERS": "3", "OBSERVATORY_LEASE_SECONDS": "1.5",
    "OBSERVATORY_RENEW_SECONDS": "0.3", "OBSERVATORY_TICK_SECONDS": "1", "OBSERVATORY_DRAIN_SECONDS": "10",
}  # fmt: skip
POINTS = {"inserted": 60, "committed": 60, "published": 60, "relayed": 40, "claimed": 40, "handled": 40, "checkpoint": 3}  # passages at most
KILLS = ["everything"] * 4 + ["parent"] * 4 + ["worker"] * 3 + ["starter"] + list(POINTS)
POINT_SECONDS = 2.5
QUIET_SECONDS = 45.0


@dataclass(slots=True)
class Folder:
    """`seed` decides every kill; `done` tells what was done, for the report of a failure."""

    path: Path
    seed: int
    done: list[str] = field(default_factory=list)

    def suffer(self, kills: int) -> list[str]:
        """So many kills, then an end in peace; returns every violation."""
        dice = random.Random(self.seed)
        system = System(self.path / "data", OBSERVATORY_TEST_LEDGER=str(self.path / "handlers.ledger"), **SETTINGS)
        load = Load(lambda: system.url, self.path / "client.ledger", str(self.seed))
        try:
            while kills > 0:
                kills -= self._one_life(system, load, dice, kills)
            with started(system):
                load.settle()
                self._wait_until_quiet()
                assert system.stop() == 0, f"the drained system ended with an error:\n{system.said()[-3000:]}"
        finally:
            with contextlib.suppress(AssertionError):
                load.settle(0)
        return [*load.complaints, *self._check(), *errors_in(system.said())]

    # ---- a life, and its end ----------------------------------------------------------------------------------

    def _one_life(self, system: System, load: Load, dice: random.Random, most: int) -> int:
        """From a start to the death of the parent; kills of workers on the way count, too."""
        kind = dice.choice(KILLS)
        count, load.heavy = 0, kind == "checkpoint"
        with started(system, **self._plan(kind, dice)):
            load.go()
            while kind in ("worker", "starter") and count < most:
                time.sleep(dice.uniform(0.1, 0.5))
                count += self._kill_below(system, kind, dice)
                kind = dice.choice(KILLS[:12])  # no point is armed in this life
            if count < most:
                count += 1
                self._end(system, kind, dice)
            else:
                self._end(system, "everything", dice)
        load.rest()
        return count

    def _plan(self, kind: str, dice: random.Random) -> dict[str, str]:
        if kind not in POINTS:
            return {}
        plan = f"{kind}:{dice.randint(1, POINTS[kind])}"
        if kind == "checkpoint":
            plan += f"+{dice.choice(['0', '0.3', '1', '3'])}"
        self.done.append(plan)
        return {"OBSERVATORY_TEST_KILL": plan}

    def _kill_below(self, system: System, kind: str, dice: random.Random) -> int:
        """One of the processes below the parent; the system goes on."""
        assert system.process is not None
        pid = system.process.pid
        found = workers(pid) if kind == "worker" else [process for process in [starter(pid)] if process is not None]
        if not found:
            return 0
        self.done.append(kind)
        dice.choice(found).signal(9)
        return 1

    def _end(self, system: System, kind: str, dice: random.Random) -> None:
        """The end of the parent, by our hand or at its armed point; nobody below may outlive it."""
        process = system.process
        assert process is not None
        below: list[Process] = []
        if kind in POINTS:
            below = await_death(process, POINT_SECONDS)
            self.done.append("reached" if process.poll() is not None else "not reached: everything")
        else:
            time.sleep(dice.uniform(0.05, 1.0))
            self.done.append(kind)
        below += descendants(process.pid)
        if kind == "parent":
            process.kill()
        else:
            kill_all(process.pid, dice)
        process.wait(10)
        left = survivors(below, 5.0)
        assert not left, f"these processes outlived their parent: {left}"

    # ---- peace ------------------------------------------------------------------------------------------------

    def _wait_until_quiet(self) -> None:
        """Until every job has ended and every reader is at the head, as SQL sees it from outside."""
        deadline = time.monotonic() + QUIET_SECONDS
        while not is_quiet(self.path / "data" / "observatory.db") and time.monotonic() < deadline:
            time.sleep(0.05)

    def _check(self) -> list[str]:
        database = self.path / "data" / "observatory.db"
        found = check(database, ledger=self.path / "client.ledger", handlers=self.path / "handlers.ledger", quiescent=True)
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            wrong = connection.execute("SELECT id, type, status, error FROM jobs WHERE status = 'failed' AND type != 'test.permanent'").fetchall()
        return [*found, *(f"I16: {job} failed for good, though it should succeed in the end" for job in wrong)]


@contextlib.contextmanager
def started(system: System, **environment: str):  # type: ignore[no-untyped-def]
    """The system from its start on; an armed point may kill it before it is ready. At the end nothing of it lives."""
    system._environment.pop("OBSERVATORY_TEST_KILL", None)
    system._environment.update(environment)
    system.start(wait=False)
    try:
        with contextlib.suppress(RuntimeError):
            system.wait_until_ready()
        assert environment or system.process.poll() is None, system.said()[-5000:]  # type: ignore[union-attr]
        yield
    finally:
        assert system.process is not None
        if system.process.poll() is None:
            kill_all(system.process.pid, random.Random(0))
            system.process.wait(10)


def await_death(process: "subprocess.Popen[bytes]", seconds: float) -> list[Process]:
    """Waits for a process to die; returns those that were below it just before."""
    below: list[Process] = []
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        below = descendants(process.pid) or below
        time.sleep(0.02)
    return below


def is_quiet(database: Path) -> bool:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (live,) = connection.execute("SELECT count(*) FROM jobs WHERE status NOT IN ('succeeded', 'failed', 'cancelled')").fetchone()
        (head,) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        cursors = dict(connection.execute("SELECT name, position FROM cursors"))
    return not live and all(cursors.get(name) == head for name in ("relay", "statistics"))


def errors_in(said: str) -> list[str]:
    """Tracebacks that the system printed: no kill may cause one in the part that lives."""
    start = said.find("Traceback (most recent call last)")
    return [] if start < 0 else [f"the system printed a traceback: {said[start : start + 3000]}"]
