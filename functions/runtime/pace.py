"""Holds back those who send what is refused, again and again, so that they leave the time to others.

A refusal beyond the pace of its address is answered later, and nothing is done meanwhile. (The generic cell rate algorithm,
ITU-T I.371: one instant an address says all.)
"""

import time
from collections import OrderedDict
from collections.abc import Callable

LONGEST_SECONDS = 1.0
ADDRESSES = 1_000
BURST_SECONDS = 2.0


class RefusalPace:
    """So many refusals a second for each address, after a burst of two seconds' worth; 0: any number."""

    def __init__(self, a_second: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._between = 1.0 / a_second if a_second else 0.0
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()

    def delay(self, address: str) -> float:
        """How long the answer to a refused request waits, in seconds."""
        if not self._between:
            return 0.0
        now = self._clock()
        due = max(self._due.get(address, 0.0), now - BURST_SECONDS) + self._between
        self._due[address] = min(due, now + LONGEST_SECONDS)
        self._due.move_to_end(address)
        if len(self._due) > ADDRESSES:
            self._due.popitem(last=False)
        return min(max(due - now, 0.0), LONGEST_SECONDS)
