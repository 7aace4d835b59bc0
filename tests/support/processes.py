"""The processes of a running system, as /proc shows them."""

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """`born` tells a process from a later one under the same number."""

    pid: int
    parent: int
    born: int
    state: str

    @property
    def is_alive(self) -> bool:
        now = read_process(self.pid)
        return now is not None and now.born == self.born and now.state not in "ZX"

    def signal(self, number: int) -> None:
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def read_process(pid: int) -> Process | None:
    """None when there is no such process."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return Process(pid, int(fields[1]), int(fields[19]), fields[0])


def descendants(pid: int) -> list[Process]:
    """Every living process below this one, parents first."""
    numbers = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    living = [process for number in numbers if (process := read_process(number)) and process.state not in "ZX"]
    found, level = [], [pid]
    while level:
        below = [process for process in living if process.parent in level]
        found += below
        level = [process.pid for process in below]
    return found


def workers(pid: int) -> list[Process]:
    """The worker processes of a system whose parent process is `pid`."""
    starters = [process.pid for process in descendants(pid) if process.parent == pid]
    return [process for process in descendants(pid) if process.parent in starters]


def starter(pid: int) -> Process | None:
    """The process from which the workers are forked."""
    return next((process for process in descendants(pid) if process.parent == pid), None)


def kill_all(pid: int, dice: random.Random) -> None:
    """SIGKILL to a process and everything below it, in any order."""
    whole = descendants(pid)
    if (own := read_process(pid)) is not None:
        whole.append(own)
    dice.shuffle(whole)
    for process in whole:
        process.signal(signal.SIGKILL)


def survivors(processes: list[Process], seconds: float) -> list[Process]:
    """Those that are still alive after `seconds`; returns as soon as none is."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if process.is_alive]) and time.monotonic() < deadline:
        time.sleep(0.005)
    return left
