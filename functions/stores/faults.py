"""Named points at which a test may kill the process, to prove that nothing is lost there.

Off unless a test arms one (`OBSERVATORY_TEST_KILL=point:count`); then the count-th passage is a SIGKILL.
"""

import os
import signal

_armed: dict[str, int] = {}


def arm(plan: str) -> None:
    """Arms `point:count[,point:count]`."""
    for item in plan.split(","):
        point, _, count = item.strip().partition(":")
        _armed[point] = int(count or 1)


def reach(point: str) -> None:
    """Passes a named point."""
    if _armed and point in _armed:
        _armed[point] -= 1
        if _armed[point] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
