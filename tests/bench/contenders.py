"""Who is compared over servers: our system as `make run PROFILE=servers` starts it, and Celery in its own virtual environment."""

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import psycopg

from functions.runtime.servers.postgres import PostgresServer
from functions.runtime.servers.servers import Servers
from tests.bench.processes import processor_time
from tests.bench.scenarios import QUIET_SHARE, Load, run_client
from tests.support.processes_system import ProcessesSystem
from tests.support.system import ROOT

FOLDER = Path(__file__).with_name("celery_peer")
PYTHON = ROOT / ".venv-celery" / "bin" / "python"
DATABASE = "celery"
LOOK_SECONDS = 0.1
START_SECONDS = 60.0
STOP_SECONDS = 60.0
PEER_CONNECTIONS = 16  # at most: each is a thread of its client


class Contender(Protocol):
    name: str

    def started(self) -> contextlib.AbstractContextManager[None]:
        """Runs, and is at rest, for as long as the block runs."""

    def ended(self) -> int:
        """How many jobs have ended well, ever."""

    def flood(self, jobs: int, load: Load) -> dict[str, Any]:
        """Submits; the client's report."""

    def wait_drained(self, ended: int, seconds: float) -> float:
        """The instant (CLOCK_MONOTONIC) at which so many had ended, and everything else stood still. Raises TimeoutError."""

    def check(self, ended: int) -> None:
        """Raises AssertionError unless exactly so many ended well, each in one attempt."""

    def processor_seconds(self) -> dict[str, float]:
        """Of its own processes, by part."""


class Database:
    """Questions to a PostgreSQL database, over one connection that is kept."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None

    def row(self, sql: str) -> tuple[Any, ...]:
        if self._connection is None:
            self._connection = psycopg.connect(self._url, autocommit=True)
        found = self._connection.execute(sql.encode()).fetchone()
        assert found is not None
        return tuple(found)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _wait(is_so: Any, seconds: float, words: Any) -> float:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not after {seconds:g} s: {words()}")
        time.sleep(LOOK_SECONDS)
    return time.monotonic()


def _wait_quiet(pid: int, seconds: float = 60.0) -> None:
    def is_quiet() -> bool:
        before = processor_time(pid).total
        time.sleep(0.5)
        return processor_time(pid).total - before < 0.5 * QUIET_SHARE

    _wait(is_quiet, seconds, lambda: "it is not at rest")


# ---- ours -----------------------------------------------------------------------------------------------------------


class Ours:
    name = "ours"

    def __init__(self, servers: Servers, processors: int) -> None:
        self._servers, self._processors = servers, processors
        self._database = Database(servers.url("postgres"))
        self._system: ProcessesSystem | None = None
        self._readers = ["relay", "statistics", *(["event_log"] if servers.running("mongo") is not None else [])]

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory(prefix="observatory-bench-") as folder:
            settings = {"OBSERVATORY_PROCESSORS": str(self._processors)} | self._servers.urls()
            with ProcessesSystem(Path(folder) / "data", **settings) as self._system:
                _wait_quiet(self._pid)
                try:
                    yield
                finally:
                    self._database.close()

    @property
    def _pid(self) -> int:
        assert self._system is not None and self._system.process is not None
        return self._system.process.pid

    def ended(self) -> int:
        return int(self._database.row("SELECT count(*) FROM observatory.jobs WHERE status = 'succeeded'")[0])

    def flood(self, jobs: int, load: Load) -> dict[str, Any]:
        assert self._system is not None
        return run_client(self._system, "--jobs", str(jobs), "--batch", str(load.batch), "--connections", str(load.connections))

    def wait_drained(self, ended: int, seconds: float) -> float:
        return _wait(self._is_drained, seconds, self._standing)

    def _is_drained(self) -> bool:
        names = ", ".join(f"'{name}'" for name in self._readers)
        sql = f"""SELECT (SELECT count(*) FROM observatory.unplaced) = 0
            AND (SELECT count(*) FROM observatory.cursors AS c, observatory.head AS h WHERE c.name IN ({names}) AND c.position = h.position)
                = {len(self._readers)}
            AND NOT EXISTS (SELECT FROM observatory.counts WHERE jobs > 0 AND status NOT IN ('succeeded', 'failed', 'cancelled'))"""
        return bool(self._database.row(sql)[0])

    def _standing(self) -> str:
        cursors = self._database.row("SELECT (SELECT position FROM observatory.head), (SELECT json_object_agg(name, position) FROM observatory.cursors)")
        return f"head and cursors {cursors}, ended {self.ended()}"

    def check(self, ended: int) -> None:
        found = self._database.row("SELECT count(*), count(*) FILTER (WHERE status = 'succeeded'), max(attempt) FROM observatory.jobs")
        assert found == (ended, ended, 1), f"{ended} jobs were to end well at once; jobs, ended well, attempts: {found}"

    def processor_seconds(self) -> dict[str, float]:
        assert self._system is not None
        found: dict[str, float] = {}
        for member in self._system.processes():
            role = _role(member.pid)
            found[role] = found.get(role, 0.0) + processor_time(member.pid).total
        return found


def _role(pid: int) -> str:
    """The role of a process of ours, from its command."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return words[next(index for index, word in enumerate(words) if word.endswith("processes.member")) + 1]


# ---- Celery ---------------------------------------------------------------------------------------------------------


class Peer:
    name = "Celery"

    def __init__(self, servers: Servers, concurrency: int) -> None:
        self._concurrency = concurrency
        postgres = PostgresServer()
        postgres.ensure_database(servers.place, DATABASE)
        results = postgres.url(servers.place, DATABASE)
        self._database = Database(results)
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(("OBSERVATORY_", "PYTHON"))} | {
            "PEER_BROKER": servers.url("rabbitmq"), "PEER_RESULTS": f"db+{results.replace('postgresql://', 'postgresql+psycopg://')}",
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        command = [str(PYTHON), "-m", "celery", "-A", "noops", "worker", "-E", "--pool", "prefork", "--concurrency", str(self._concurrency),
                   "--loglevel", "warning", "--without-gossip", "--without-mingle"]  # fmt: skip
        with tempfile.TemporaryFile() as said:
            self._process = subprocess.Popen(command, cwd=FOLDER, env=self._environment, stdout=said, stderr=said, start_new_session=True)
            try:
                self._warm(said)
                yield
            finally:
                self._database.close()
                self._end()

    def _warm(self, said: Any) -> None:
        """One task through everything, which makes the table of results."""
        assert self._process is not None
        ended = self.ended()
        self._client(1, 1, 1)
        try:
            _wait(lambda: self.ended() > ended or self._process is None or self._process.poll() is not None, START_SECONDS, lambda: "no task has ended")
        except TimeoutError:
            raise TimeoutError(f"Celery's worker ends no task:\n{_read(said)}") from None
        if self._process.poll() is not None:
            raise RuntimeError(f"Celery's worker ended:\n{_read(said)}")
        _wait_quiet(self._process.pid)

    def _end(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()

    def ended(self) -> int:
        if self._database.row("SELECT to_regclass('public.celery_taskmeta')")[0] is None:
            return 0
        return int(self._database.row("SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'")[0])

    def flood(self, jobs: int, load: Load) -> dict[str, Any]:
        return self._client(jobs, load.batch, min(load.connections, PEER_CONNECTIONS))

    def _client(self, jobs: int, batch: int, connections: int) -> dict[str, Any]:
        command = [str(PYTHON), "client.py", "--jobs", str(jobs), "--batch", str(batch), "--connections", str(connections)]
        environment: Mapping[str, str] = self._environment | {"PEER_CONNECTIONS": str(connections)}
        done = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"Celery's load client failed:\n{done.stderr}")
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def wait_drained(self, ended: int, seconds: float) -> float:
        return _wait(lambda: self.ended() >= ended, seconds, lambda: f"{self.ended()} of {ended} tasks have ended")

    def check(self, ended: int) -> None:
        found = self._database.row("SELECT count(*), count(*) FILTER (WHERE status = 'SUCCESS') FROM celery_taskmeta")
        assert found == (ended, ended), f"{ended} tasks were to end well; tasks, ended well: {found}"

    def processor_seconds(self) -> dict[str, float]:
        assert self._process is not None
        spent = processor_time(self._process.pid)
        return {"worker": spent.parent, "pool": spent.others}


def _read(said: Any) -> str:
    said.seek(0)
    return said.read().decode(errors="replace")[-3_000:]
