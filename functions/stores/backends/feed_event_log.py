"""`EventLog` without a server of its own: a view of the events that the job store holds, not a copy of them."""

from collections.abc import Sequence

from contracts.errors import StoreUnavailable
from contracts.event import Event
from functions.stores.condition import FAIL, Condition
from functions.stores.event_log import BUCKET_POSITIONS, Extent
from functions.stores.job_store import JobStore


class FeedEventLog:
    """The feed of `store`, whichever that is. Retention there is retention here."""

    elsewhere = False

    def __init__(self, store: JobStore) -> None:
        self._store = store

    async def close(self) -> None:
        """The job store is closed by whoever opened it."""

    async def ping(self) -> None:
        await self._store.ping()

    async def condition(self) -> Condition:
        kind = "the events that the job store keeps"
        try:
            extent = await self.extent()
        except StoreUnavailable as error:
            return Condition("event log", kind, FAIL, error.message, "it comes back with the job store")
        return Condition("event log", kind, position=extent.last, first=extent.first)

    async def extent(self) -> Extent:
        return Extent(await self._store.dropped() + 1, await self._store.head())

    async def insert_batch(self, events: Sequence[Event], after: int, upto: int) -> bool:
        """Copies nothing: the feed and the archive are the same rows here."""
        return True

    async def note_gap(self, upto: int) -> None:
        """Its extent begins where nothing was dropped."""

    async def of_subject(self, subject: str, limit: int, *, before: int | None = None) -> list[Event]:
        return (await self._store.find_events([], subject, limit, before)).items

    async def of_bucket(self, bucket: int) -> list[Event]:
        first = bucket * BUCKET_POSITIONS
        found = await self._store.feed(first - 1, BUCKET_POSITIONS)
        return [event for event in found if event.position < first + BUCKET_POSITIONS]

    async def prune(self, before: int) -> int:
        """The job store's own retention drops whole jobs."""
        return 0

    async def cut(self, last: int) -> None:
        """The feed holds nothing beyond its head."""
