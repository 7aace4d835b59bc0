"""The backlog: what one Trigger still has to deliver, and the lowest position that is not settled."""

import heapq
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from contracts.event import Event


@dataclass(slots=True, eq=False)
class Parcel:
    """Events that travel together. `lowest` is the position that stays unconfirmed until the parcel is settled.

    `attempts` counts its deliveries, `dead` says that it goes to the dead letter sink. Without `lowest` it is a repeat.
    """

    events: list[Event]
    lowest: int | None
    attempts: int = 0
    dead: bool = False
    settled: bool = False

    def rest(self, events: list[Event], *, dead: bool = False) -> Self:
        """What is left of this parcel; the tries of a dead letter are counted anew."""
        lowest = None if self.lowest is None else events[0].position
        return type(self)(events, lowest, self.attempts if dead == self.dead else 0, dead)


class Backlog:
    """Events in the order they came, and parcels that are due again later. Pure bookkeeping: it waits for nothing.

    With `overflows`, no more than `bound` events are held: the others are only remembered as a range of the feed.
    """

    def __init__(self, *, bound: int, overflows: bool) -> None:
        self.bound, self.overflows = bound, overflows
        self.left_out: tuple[int, int] | None = None  # first and last position that have to be read from the feed
        self._queue: deque[Event] = deque()
        self._later: list[tuple[float, int, Parcel]] = []
        self._unsettled: list[tuple[int, int, Parcel]] = []
        self._held = 0
        self._stuck: int | None = None
        self._numbers = itertools.count()

    @property
    def pending(self) -> int:
        """Events held and not settled."""
        return len(self._queue) + self._held

    @property
    def waiting(self) -> int:
        """Events that no delivery has taken yet."""
        return len(self._queue)

    @property
    def due_at(self) -> float | None:
        """When the next parcel is due again."""
        return self._later[0][0] if self._later else None

    @property
    def floor(self) -> int | None:
        """The lowest position that is not settled; None when everything is."""
        lowest = [] if self._stuck is None else [self._stuck]
        if self._unsettled:
            lowest.append(self._unsettled[0][0])
        if self._queue:
            lowest.append(self._queue[0].position)
        if self.left_out:
            lowest.append(self.left_out[0])
        return min(lowest, default=None)

    def add(self, events: Sequence[Event]) -> None:
        """Takes newly published events; what does not fit is left out."""
        if self.left_out:
            self.left_out = self.left_out[0], events[-1].position
            return
        free = max(self.bound - self.pending, 0) if self.overflows else len(events)
        self._queue.extend(events[:free])
        if len(events) > free:
            self.left_out = events[free].position, events[-1].position

    def add_read(self, events: Sequence[Event], reached: int) -> None:
        """Takes events of the left out range as they were read from the feed up to the position `reached`."""
        assert self.left_out is not None
        last = self.left_out[1]
        self._queue.extend(event for event in events if event.position <= last)
        self.left_out = (reached + 1, last) if reached < last else None

    def get_stuck(self, position: int) -> None:
        """From this position on nothing counts as settled: it cannot be delivered in this process."""
        self._stuck = position if self._stuck is None else min(self._stuck, position)

    def take(self, number: int) -> Parcel | None:
        """The next events, at most so many."""
        if not self._queue:
            return None
        take = self._queue.popleft
        events = [take() for _ in range(min(len(self._queue), number))]
        return self._track(Parcel(events, events[0].position))

    def put_off(self, parcel: Parcel, until: float) -> None:
        """Keeps a parcel until an instant."""
        heapq.heappush(self._later, (until, next(self._numbers), self._track(parcel)))

    def take_due(self, now: float, number: int) -> Parcel | None:
        """The parcel that has been due the longest, together with those that are due and have come equally far."""
        if not self._later or self._later[0][0] > now:
            return None
        alike = [heapq.heappop(self._later)[2]]
        size = len(alike[0].events)
        while self._later and self._later[0][0] <= now:
            other = self._later[0][2]
            size += len(other.events)
            if (other.attempts, other.dead) != (alike[0].attempts, alike[0].dead) or size > number:
                break
            alike.append(heapq.heappop(self._later)[2])
        return alike[0] if len(alike) == 1 else self._merged(alike)

    def settle(self, parcel: Parcel) -> None:
        """Forgets a parcel: all of it was delivered, dropped, or put off in a parcel of its own."""
        parcel.settled = True
        self._held -= len(parcel.events)
        while self._unsettled and self._unsettled[0][2].settled:
            heapq.heappop(self._unsettled)

    def _track(self, parcel: Parcel) -> Parcel:
        self._held += len(parcel.events)
        if parcel.lowest is not None:
            heapq.heappush(self._unsettled, (parcel.lowest, next(self._numbers), parcel))
        return parcel

    def _merged(self, parcels: list[Parcel]) -> Parcel:
        first = parcels[0]
        for parcel in parcels:
            self.settle(parcel)
        events = [event for parcel in parcels for event in parcel.events]
        lowest = min((parcel.lowest for parcel in parcels if parcel.lowest is not None), default=None)
        return self._track(Parcel(events, lowest, first.attempts, first.dead))
