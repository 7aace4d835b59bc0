"""Processes that outlive whoever started them: told apart from later ones under the same number, and ended by their id."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Started:
    """A process by its number and the time of its birth, as the kernel tells it."""

    pid: int
    born: str

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Started":
        return cls(int(document["pid"]), str(document["born"]))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def is_alive(self) -> bool:
        with contextlib.suppress(ChildProcessError, OSError):  # our own dead child would stay a zombie
            os.waitpid(self.pid, os.WNOHANG)
        return _born(self.pid) == self.born

    def send(self, number: int) -> None:
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, number: int = signal.SIGTERM, seconds: float = GRACE_SECONDS) -> bool:
        """Asks it to end, and ends it when it does not; whether it ended by itself."""
        self.send(signal.SIGCONT)
        self.send(number)
        if self._ends_within(seconds):
            return True
        self.send(signal.SIGKILL)
        self._ends_within(seconds)
        return False

    def _ends_within(self, seconds: float) -> bool:
        return wait_until(lambda: not self.is_alive, seconds)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it came to hold within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def spawn(command: Sequence[str], log: Path, *, environment: Mapping[str, str], user: str | None = None) -> Started:
    """Starts a program in a session of its own, its output appended to `log`; as `user` when this process is root."""
    as_user: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user is not None else {}
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent, env=dict(environment),
            start_new_session=True, **as_user,
        )  # fmt: skip
    process.returncode = 0  # it outlives this process on purpose: no warning, no wait at the end
    return Started(process.pid, _born(process.pid) or "")


def _born(pid: int) -> str | None:
    """None when there is no such process, or it has ended and nobody has looked yet. One whose first thread has ended while others are
    about to still has its files and ports."""
    stat = Path("/proc") / str(pid) / "stat"
    if stat.parent.parent.joinpath("self").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" and int(fields[17]) <= 1 else fields[19]
    found = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.split(maxsplit=1)
    return None if len(found) < 2 or found[0].startswith("Z") else found[1].strip()
