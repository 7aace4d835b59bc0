"""Port: the long-lived archive of events, for history and for going back in time.

It follows the feed in batches and is read by equality alone: a subject, or a bucket of a thousand positions. Every method
may raise StoreUnavailable.
"""

from collections.abc import Sequence
from typing import Protocol

from contracts.event import Event

BUCKET_POSITIONS = 1000


def bucket_of_position(position: int) -> int:
    """The bucket in which an event of the feed is kept."""
    return position // BUCKET_POSITIONS


class EventLog(Protocol):
    async def insert_batch(self, events: Sequence[Event]) -> int:
        """Keeps events of the feed, redacted; idempotent by position. Returns how many it copied."""

    async def of_subject(self, subject: str) -> list[Event]:
        """Every event of a stream, by sequence."""

    async def of_bucket(self, bucket: int) -> list[Event]:
        """The events whose position // 1000 is `bucket`, in order."""
