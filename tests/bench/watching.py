"""Looks at a system from outside: SQL on its file, read only, and a trace of what it syncs to the disk."""

import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from functions.runtime.data_folder import DATABASE

POLL_SECONDS = 0.025
LIVE = "('waiting', 'scheduled', 'queued', 'running', 'retrying')"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a store stands: its last job's number and its last event's position."""

    jobs: int
    events: int


class Observer:
    """Reads the database of a running system on a connection of its own that cannot write."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True, isolation_level=None, timeout=10)

    def close(self) -> None:
        self._connection.close()

    def row(self, sql: str, *values: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self._connection.execute(sql, values).fetchone()
        return found

    def mark(self) -> Mark:
        return Mark(*self.row("SELECT (SELECT max(number) FROM jobs), (SELECT seq FROM sqlite_sequence WHERE name = 'events')"))

    def is_drained(self) -> bool:
        """Whether statistics and relay have reached the head of the feed, and no job is left that has not ended."""
        head, statistics, relay = self.row(
            """SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'events'),
                      (SELECT position FROM cursors WHERE name = 'statistics'), (SELECT position FROM cursors WHERE name = 'relay')"""
        )
        return head == statistics == relay and self.row(f"SELECT coalesce(sum(jobs), 0) FROM counts WHERE status IN {LIVE}") == (0,)

    def wait_drained(self, seconds: float) -> float:
        """The instant (CLOCK_MONOTONIC) at which the system was seen drained. Raises TimeoutError saying where it stands."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.is_drained():
                return time.monotonic()
            time.sleep(POLL_SECONDS)
        cursors = self._connection.execute("SELECT name, position FROM cursors").fetchall()
        states = self._connection.execute(f"SELECT status, sum(jobs) FROM counts WHERE status IN {LIVE} GROUP BY 1").fetchall()
        raise TimeoutError(f"not drained after {seconds:g} s: head {self.mark().events}, cursors {dict(cursors)}, left {dict(states)}")

    def wait_ended(self, job_type: str, seconds: float) -> float:
        """The instant (CLOCK_MONOTONIC) at which every job of a type had ended. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while self.row(f"SELECT coalesce(sum(jobs), 0) FROM counts WHERE type = ? AND status IN {LIVE}", job_type) != (0,):
            if time.monotonic() > deadline:
                raise TimeoutError(f"jobs of {job_type} are left after {seconds:g} s")
            time.sleep(POLL_SECONDS)
        return time.monotonic()

    def check_noops(self, since: Mark, jobs: int) -> None:
        """Raises AssertionError unless exactly `jobs` jobs came since, each succeeded in one attempt and told in four events."""
        now = self.mark()
        came, succeeded, attempts = self.row(
            "SELECT count(*), sum(status = 'succeeded'), sum(attempt) FROM jobs WHERE number > ?", since.jobs
        )
        found = f"{jobs} jobs accepted; {came} stored, {succeeded} succeeded, {attempts} attempts, {now.events - since.events} events"
        assert (came, succeeded, attempts, now.events - since.events) == (jobs, jobs, jobs, 4 * jobs), found

    def seconds_in_store(self, since: Mark) -> list[float]:
        """Of each job since: seconds from its acceptance to its end, by the store's clock; sorted."""
        sql = "SELECT (finished_at - created_at) / 1e6 AS seconds FROM jobs WHERE number > ? ORDER BY seconds"
        found = self._connection.execute(sql, (since.jobs,))
        return [seconds for (seconds,) in found]


def percentile(sorted_values: list[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed (nearest rank)."""
    rank = max(1, -(-len(sorted_values) * percent // 100))
    return sorted_values[int(rank) - 1]


# ---- syncs ------------------------------------------------------------------------------------------------------

_CALL = re.compile(r'^\d+ +(?P<name>pwrite64|fdatasync|fsync)\((?P<rest>.*)')
_FRAME_HEAD = re.compile(r'\d+<[^>]*>, "(?P<bytes>(?:\\x[0-9a-f]{2})*)"\.*, (?P<size>\d+),')
FRAME_HEAD_BYTES = 24


@dataclass(slots=True)
class Syncs:
    """What was seen on the write-ahead log."""

    commits: int = 0
    syncs: int = 0
    commits_without_sync: int = 0

    @property
    def is_full(self) -> bool:
        """Whether each commit was synced before the next one began."""
        return self.commits > 0 and self.commits_without_sync == 0


class SyncTrace:
    """Traces the writes and syncs of a process's write-ahead log with strace while the block runs.

    A commit is a frame whose head names the size of the database (SQLite file format, section 4.1); SQLite writes a
    frame's head of 24 bytes by itself.
    """

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid, self._log = pid, folder.resolve() / f"{DATABASE}-wal"
        self._output = Path(tempfile.mkstemp(prefix="syncs-")[1])
        self.seen = Syncs()

    @staticmethod
    def is_possible() -> bool:
        return shutil.which("strace") is not None

    def __enter__(self) -> "SyncTrace":
        self._strace = subprocess.Popen(
            ["strace", "-f", "-y", "-xx", "-s", str(FRAME_HEAD_BYTES), "-P", str(self._log), "-e", "trace=pwrite64,fdatasync,fsync",
             "-o", str(self._output), "-p", str(self._pid)],
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._strace.stderr is not None
        first = self._strace.stderr.readline().decode()
        if "attached" not in first:
            raise RuntimeError(f"strace cannot attach: {first.strip()}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._strace.send_signal(signal.SIGINT)
        self._strace.communicate(timeout=30)
        self.seen = read_syncs(self._output.read_text(errors="replace"))
        self._output.unlink()


def read_syncs(text: str) -> Syncs:
    """Counts commits and syncs in strace's output."""
    found, open_commit = Syncs(), False
    for line in text.splitlines():
        call = _CALL.match(line)
        if call is None:
            continue
        if call["name"] == "pwrite64":
            head = _FRAME_HEAD.match(call["rest"])
            if head and int(head["size"]) == FRAME_HEAD_BYTES and bytes.fromhex(head["bytes"].replace("\\x", ""))[4:8] != b"\0\0\0\0":
                found.commits += 1
                found.commits_without_sync += open_commit
                open_commit = True
        else:
            found.syncs += 1
            open_commit = False
    found.commits_without_sync += open_commit
    return found
