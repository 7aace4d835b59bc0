"""Named points at which a test may kill the process, to prove that nothing is lost there.

Off unless a test arms one (`OBSERVATORY_TEST_KILL=point:count`); then the count-th passage is a SIGKILL. With
`point:count+milliseconds` it comes so much later, in the middle of what follows the point. A plan that is a folder
(`/...`) leaves it to files there: a process dies at the point and under the process number that one is named after, `point.pid`.
"""

import os
import signal
import threading
from pathlib import Path

_armed: dict[str, tuple[int, float]] = {}  # point -> passages left, milliseconds
_folders: list[Path] = []


def arm(plan: str) -> None:
    """Arms `point:count[+milliseconds][,...]`, or whatever a folder will name."""
    if plan.startswith("/"):
        _folders.append(Path(plan))
        return
    for item in plan.split(","):
        point, _, when = item.strip().partition(":")
        count, _, later = when.partition("+")
        _armed[point] = (int(count or 1), float(later or 0))


def reach(point: str) -> None:
    """Passes a named point."""
    if _armed and point in _armed:
        left, later = _armed[point]
        _armed[point] = (left - 1, later)
        if left == 1:
            _kill_after(later / 1_000)
    for folder in _folders:
        if (folder / f"{point}.{os.getpid()}").exists():
            _kill_after(0.0)


def _kill_after(seconds: float) -> None:
    if seconds:
        threading.Timer(seconds, _kill_after, (0.0,)).start()
    else:
        os.kill(os.getpid(), signal.SIGKILL)
