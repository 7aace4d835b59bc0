"""Clocks: where a store's time comes from."""

import time
from collections.abc import Callable

Clock = Callable[[], int]


def wall_clock() -> int:
    """Microseconds since the epoch by the machine's clock; may step."""
    return time.time_ns() // 1000


class MonotonicClock:
    """Microseconds since the epoch that never step back: they start at the later of the wall clock and the last stored
    instant, and go on with the monotonic clock. So a clock that was set back neither revives a lease nor delays a job."""

    def __init__(self, last_stored: int, wall: Clock = wall_clock) -> None:
        self._start = max(wall(), last_stored)
        self._origin = time.monotonic_ns()

    def __call__(self) -> int:
        return self._start + (time.monotonic_ns() - self._origin) // 1000
