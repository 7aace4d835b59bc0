"""The database's clock, as this process reads it: by it leases and due times are measured, whichever process measures them."""

import time
from typing import NamedTuple

from functions.stores.clock import elapsed_ns

GOOD_NS = 20_000_000
FRESH_NS = 1_000_000_000


class _Reading(NamedTuple):
    took: int
    offset: int
    answered_ns: int


class DatabaseClock:
    """Microseconds since the epoch. Between two readings of the database's clock the machine's monotonic clock goes on."""

    def __init__(self) -> None:
        self._offset: int | None = None
        self._read_at = 0
        self._quickest: _Reading | None = None  # of the slow answers that said something else

    @property
    def is_fresh(self) -> bool:
        return self._offset is not None and elapsed_ns() - self._read_at < FRESH_NS

    def learn(self, asked_ns: int, answered_ns: int, micros: int) -> bool:
        """An answer of the database to a question asked and answered at these instants (`elapsed_ns`). False: it took so long, and
        says so different a time, that it is better asked again.

        A slow answer that says what is known, as far as it can say (half of what it took), confirms it: so a link that is always
        slow is asked no more often than a quick one.
        """
        took = answered_ns - asked_ns
        reading = _Reading(took, micros - (asked_ns + answered_ns) // 2_000, answered_ns)
        if self._offset is None or took < GOOD_NS:
            self._take(reading)
        elif abs(reading.offset - self._offset) <= took // 2_000:
            self._take(reading._replace(offset=self._offset))
        elif self._quickest is None or took < self._quickest.took:
            self._quickest = reading
        return self._read_at == answered_ns

    def settle(self) -> None:
        """No more is asked: the quickest of the answers that did not agree is taken for true."""
        if self._quickest is not None:
            self._take(self._quickest)

    def _take(self, reading: "_Reading") -> None:
        self._offset, self._read_at, self._quickest = reading.offset, reading.answered_ns, None

    def forget(self) -> None:
        """It may be another server's from here on."""
        self._read_at = elapsed_ns() - FRESH_NS

    def __call__(self) -> int:
        return elapsed_ns() // 1_000 + self._offset if self._offset is not None else time.time_ns() // 1_000
