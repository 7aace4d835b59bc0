"""Kills of the system as processes over servers: at a named point, of one process, of its workers, of all, of PostgreSQL and Redis."""

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from functions.stores.event_log import EVENT_LOG_CURSOR
from tests.support.checker import Evidence, read_evidence
from tests.support.mongo_evidence import BUCKET, archived_wrongly
from tests.support.processes import Process, descendants, kill_all, survivors
from tests.support.processes_system import Deployment
from tests.support.waiting import wait_until

POINTS = {
    "inserted": ("front", "processor", "scheduler"), "committed": ("front", "processor", "scheduler"), "published": ("front", "processor", "scheduler"),
    "claimed": ("processor",), "handled": ("processor",), "relayed": ("scheduler",), "taken": ("metrics-engine",), "archived": ("metrics-engine",),
}  # fmt: skip
ROLES = ("front", "processor", "processor", "scheduler", "metrics-engine", "dead-letter")
OTHERS = ("process", "group", "worker", "starter", "everything", "supervisor", "backend", "postgres", "redis")
KINDS = tuple(kind for pair in zip(POINTS, OTHERS, strict=False) for kind in pair) + OTHERS[len(POINTS) :]
POINT_SECONDS = 10.0
OUTLIVE_SECONDS = 20.0  # a drain, and a little


@dataclass(slots=True)
class Blows:
    """Blows on one deployment, whose processes look into `folder` at the named points; `done` tells what was done, for the report of a failure."""

    deployment: Deployment
    folder: Path
    done: list[str] = field(default_factory=list)
    _orphans: list[Process] = field(default_factory=list)
    _checked: int = 0  # the position up to which the event log was compared

    def suffer(self, seed: int) -> None:
        """A blow of the seed's kind and another under load, and an end in peace: then the checker."""
        dice, self.done = random.Random(seed), []
        with self.deployment.load(calm=0.02):
            self.deployment.wait_for_jobs(dice.randint(5, 30))
            for kind in (KINDS[seed % len(KINDS)], dice.choice(KINDS)):
                time.sleep(dice.uniform(0.0, 0.5))
                self._strike(kind, dice)
            self.deployment.wait_for_jobs(dice.randint(5, 30))
        self._compare_event_log()
        left = survivors(self._orphans, OUTLIVE_SECONDS)
        assert not left, f"these processes outlived their parent: {left}"
        self._orphans = []

    # ---- blows ------------------------------------------------------------------------------------------------

    def _strike(self, kind: str, dice: random.Random) -> None:
        if kind in POINTS:
            self._kill_at(kind, self._one_of(dice.choice(POINTS[kind]), dice))
        elif kind in ("everything", "supervisor"):
            self._end_all(kind, dice)
        elif kind in ("postgres", "redis"):
            self._kill_server(kind)
        elif kind == "backend":
            self._kill_backend(dice)
        elif kind in ("worker", "starter"):
            self._kill_below(kind, self._one_of("processor", dice), dice)
        else:
            self._kill_process(kind, self._one_of(dice.choice(ROLES), dice), dice)

    def _one_of(self, role: str, dice: random.Random) -> Process:
        """A process of a role, once there is one: it may be about to start again."""
        victim: Process = dice.choice(wait_until(lambda: self.deployment.system.processes(role)))
        self.done.append(role)
        return victim

    def _kill_at(self, point: str, victim: Process) -> None:
        """Its end at its next passage of a point, or, if it comes to none in time, where it is."""
        self.done.append(f"at {point}")
        self._orphans += descendants(victim.pid)
        armed = self.folder / f"{point}.{victim.pid}"
        armed.touch()
        left = survivors([victim], POINT_SECONDS)
        armed.unlink()
        if left:
            self.done.append("not reached")
            victim.signal(signal.SIGKILL)

    def _kill_process(self, kind: str, victim: Process, dice: random.Random) -> None:
        self.done.append(kind)
        self._orphans += descendants(victim.pid)
        if kind == "group":
            kill_all(victim.pid, dice)
        else:
            victim.signal(signal.SIGKILL)

    def _kill_below(self, kind: str, processor: Process, dice: random.Random) -> None:
        """A worker, or the process that they are forked from; the processor goes on."""
        self.done.append(kind)
        found = [each for each in descendants(processor.pid) if (each.parent == processor.pid) is (kind == "starter")]
        for each in dice.sample(found, min(1, len(found))):
            each.signal(signal.SIGKILL)

    def _end_all(self, kind: str, dice: random.Random) -> None:
        """The supervisor's end, with everything below it or alone: then the others find it out, and drain beside those that start now."""
        self.done.append(kind)
        system = self.deployment.system
        assert system.process is not None
        self._orphans += descendants(system.process.pid)
        if kind == "everything":
            kill_all(system.process.pid, dice)
        else:
            system.process.kill()
        system.process.wait(10)
        system.start(wait=False)
        wait_until(system._own_url)  # until then it may be its predecessor's front that answers
        system.wait_until_ready()

    def _kill_server(self, name: str) -> None:
        """Without a word, and then it is started again; PostgreSQL by what `pg_ctl stop -m immediate` sends, for its processes share memory."""
        self.done.append(name)
        server = self.deployment.servers.running(name)
        assert server is not None
        assert server.stop(signal.SIGQUIT if name == "postgres" else signal.SIGKILL)
        self.deployment.servers.start([name])

    def _kill_backend(self, dice: random.Random) -> None:
        """One process of PostgreSQL by SIGKILL: all others go with it, and the server recovers by itself."""
        self.done.append("a process of postgres")
        server = self.deployment.servers.running("postgres")
        assert server is not None
        for each in dice.sample(found := descendants(server.pid), min(1, len(found))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)

    # ---- the event log ----------------------------------------------------------------------------------------

    def _compare_event_log(self) -> None:
        """What the checker does not look at: every event of the feed is in the event log, as it is."""
        if "mongo" not in self.deployment.names:
            return
        evidence = wait_until(self._archived)
        rows = [row for row in evidence.rows if row["position"] >= self._checked - self._checked % BUCKET]
        found = list(archived_wrongly(self.deployment.servers.url("mongo"), rows))
        assert not found, "\n".join(found[:20])
        self._checked = evidence.head

    def _archived(self) -> Evidence | None:
        """All there is, once the event log stands at the head of the feed."""
        evidence = read_evidence(self.deployment.servers.url("postgres"))
        return evidence if evidence.cursor(EVENT_LOG_CURSOR) == evidence.head else None
