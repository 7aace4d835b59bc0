"""Port: the long-lived archive of events, for history and for going back in time.

It follows the feed in batches, up to a cursor of its own, and is read by equality: a subject, or a bucket of a thousand
positions. Events in it are redacted, for it is a way out. Every method may raise EventLogUnavailable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.event import Event
from functions.stores.condition import Condition

BUCKET_POSITIONS = 1000
EVENT_LOG_CURSOR = "event_log"  # its copy in the job store, for retention and for the lag


def bucket_of_position(position: int) -> int:
    """The bucket in which an event of the feed is kept."""
    return position // BUCKET_POSITIONS


@dataclass(frozen=True, slots=True)
class Extent:
    """Which part of the feed is kept: from position `first` to `last`, both included; `last` is the cursor. Up to `gap` some events may be
    missing: retention had dropped them before they came here."""

    first: int
    last: int
    gap: int = 0

    @property
    def complete_from(self) -> int:
        """The position from which on nothing is missing."""
        return max(self.first, self.gap + 1)


class EventLog(Protocol):
    @property
    def elsewhere(self) -> bool:
        """Whether it is another store than the feed's, which then has to be brought up to the feed."""

    async def close(self) -> None: ...
    async def ping(self) -> None:
        """Returns when it answers."""

    async def condition(self) -> Condition:
        """What there is to say of it; never raises."""

    async def extent(self) -> Extent:
        """What is kept; (1, 0) at the beginning."""

    async def insert_batch(self, events: Sequence[Event], after: int, upto: int) -> bool:
        """Keeps the events of the feed between two positions, then moves the cursor from `after` to `upto`.

        Idempotent by position. False when the cursor is not at `after` any more: somebody else was faster.
        """

    async def note_gap(self, upto: int) -> None:
        """Remembers that of the events up to a position some will not come."""

    async def of_subject(self, subject: str, limit: int, *, before: int | None = None) -> list[Event]:
        """The newest events of a stream below a position, newest first."""

    async def of_bucket(self, bucket: int) -> list[Event]:
        """The events whose position // 1000 is `bucket`, in order."""

    async def prune(self, before: int) -> int:
        """Drops whole buckets of events that are all older than an instant (microseconds), some at a time; returns how many."""

    async def cut(self, last: int) -> None:
        """Drops what lies beyond a position: the job store came back from a copy, and does not hold it any more."""
