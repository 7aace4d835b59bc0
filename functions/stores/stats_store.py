"""Port: the statistics, folded from the feed up to a cursor that is saved with them in one step.

Every method may raise StatisticsUnavailable. Minutes are counted since the epoch (see contracts/statistics.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.statistics import Delta, Figures, State
from functions.stores.condition import Condition
from functions.stores.instances import Instance


@dataclass(frozen=True, slots=True)
class Reading:
    """One snapshot: up to which position it is folded, jobs by (queue, type, status), and a sum for each range asked."""

    position: int
    states: dict[State, int]
    ranges: list[Figures]


class StatsStore(Protocol):
    @property
    def elsewhere(self) -> bool:
        """Whether it is another store than the feed's, so that a copy of its cursor is kept there."""

    async def close(self) -> None: ...
    async def ping(self) -> None:
        """Returns when it answers."""

    async def condition(self) -> Condition:
        """What there is to say of it; never raises."""

    async def cursor(self) -> int:
        """The position up to which the feed is folded; 0 at the beginning."""

    async def apply(self, delta: Delta, after: int, upto: int) -> bool:
        """Adds a delta and moves the cursor from `after` to `upto`, in one step.

        False, and nothing changed, when the cursor is not at `after` any more. May wait for a commit that happens anyway.
        """

    async def read(self, ranges: Sequence[tuple[int, int]]) -> Reading:
        """The states now, and the sums over each range of minutes, first and last included."""

    async def series(self, first: int, last: int) -> dict[int, dict[str, int]]:
        """minute -> measure -> sum over all queues and types, for the minutes in which something happened."""

    async def whole(self) -> tuple[int, Delta]:
        """The cursor and everything that is stored, for comparing with a fold of the log."""

    async def prune(self, before_minute: int) -> int:
        """Drops the minutes before this one, never the sums since the beginning; returns how many rows went. Records of instances
        that started before it go, too."""

    async def note_instance(self, instance: Instance) -> None:
        """Keeps the record of a function's instance, in place of the one before. It is news, no part of the log or of a fold."""

    async def instances(self) -> list[Instance]:
        """The newest records, by their start, the newest first; some 200 at most."""

    async def clear(self) -> None:
        """Forgets all that was folded and puts the cursor back to 0, so that the statistics are built anew."""
