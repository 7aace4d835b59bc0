"""The database's clock, as this process reads it: by it leases and due times are measured, whichever process measures them."""

import time

from functions.stores.clock import elapsed_ns

GOOD_NS = 20_000_000
FRESH_NS = 1_000_000_000


class DatabaseClock:
    """Microseconds since the epoch. Between two readings of the database's clock the machine's monotonic clock goes on."""

    def __init__(self) -> None:
        self._offset: int | None = None
        self._read_at = 0

    @property
    def is_fresh(self) -> bool:
        return self._offset is not None and elapsed_ns() - self._read_at < FRESH_NS

    def learn(self, asked_ns: int, answered_ns: int, micros: int) -> bool:
        """An answer of the database to a question asked and answered at these instants (`elapsed_ns`). False: it took too long to
        say much, ask again."""
        good = answered_ns - asked_ns < GOOD_NS
        if good or self._offset is None:
            self._offset, self._read_at = micros - (asked_ns + answered_ns) // 2_000, answered_ns
        return good

    def forget(self) -> None:
        """It may be another server's from here on."""
        self._read_at = elapsed_ns() - FRESH_NS

    def __call__(self) -> int:
        return elapsed_ns() // 1_000 + self._offset if self._offset is not None else time.time_ns() // 1_000
