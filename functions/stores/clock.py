"""Clocks: where a store's time comes from."""

import time
from collections.abc import Callable

Clock = Callable[[], int]


def wall_clock() -> int:
    """Microseconds since the epoch by the machine's clock; may step."""
    return time.time_ns() // 1000


def elapsed_ns() -> int:
    """Monotonic, and where the system has such a clock (Linux) it goes on while the machine sleeps: 09:00 stays 09:00."""
    return time.clock_gettime_ns(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class MonotonicClock:
    """Microseconds since the epoch that never step back: they start at the later of the wall clock and the last stored
    instant, and go on with the monotonic clock. So a clock that was set back neither revives a lease nor delays a job."""

    def __init__(self, last_stored: int, wall: Clock = wall_clock) -> None:
        self._start = max(wall(), last_stored)
        self._origin = elapsed_ns()

    def __call__(self) -> int:
        return self._start + (elapsed_ns() - self._origin) // 1000
