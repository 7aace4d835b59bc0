"""An `EventLog` in memory, for tests of those who use one; the port's suite holds the real ones to what it does."""

from collections.abc import Sequence
from dataclasses import replace

from contracts.errors import StoreUnavailable
from contracts.event import Event
from contracts.times import from_rfc3339
from functions.stores.condition import FAIL, Condition
from functions.stores.event_log import Extent, bucket_of_position


class MemoryEventLog:
    """`away`: every method raises StoreUnavailable."""

    elsewhere = True

    def __init__(self) -> None:
        self.kept: dict[int, Event] = {}
        self.kept_extent = Extent(1, 0)
        self.away = False

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("the event log (in memory) does not answer")

    async def close(self) -> None:
        return None

    async def ping(self) -> None:
        self._answer()

    async def condition(self) -> Condition:
        if self.away:
            return Condition("event log", "in memory", FAIL, "does not answer", "let it answer")
        return Condition("event log", "in memory", position=self.kept_extent.last, first=self.kept_extent.complete_from)

    async def extent(self) -> Extent:
        self._answer()
        return self.kept_extent

    async def insert_batch(self, events: Sequence[Event], after: int, upto: int) -> bool:
        self._answer()
        self.kept.update((event.position, event) for event in events)
        if self.kept_extent.last != after:
            return False
        self.kept_extent = replace(self.kept_extent, first=events[0].position if after == 0 and events else self.kept_extent.first, last=upto)
        return True

    async def note_gap(self, upto: int) -> None:
        self._answer()
        self.kept_extent = replace(self.kept_extent, gap=max(self.kept_extent.gap, upto))

    async def of_subject(self, subject: str, limit: int, *, before: int | None = None) -> list[Event]:
        self._answer()
        found = [event for position, event in sorted(self.kept.items()) if event.subject == subject and (before is None or position < before)]
        return found[::-1][:limit]

    async def of_bucket(self, bucket: int) -> list[Event]:
        self._answer()
        return [event for position, event in sorted(self.kept.items()) if bucket_of_position(position) == bucket]

    async def prune(self, before: int) -> int:
        self._answer()
        old = [position for position, event in self.kept.items() if from_rfc3339(event.time or "") < before]
        self.kept = {position: event for position, event in self.kept.items() if position not in old}
        return len(old)

    async def cut(self, last: int) -> None:
        self._answer()
        self.kept = {position: event for position, event in self.kept.items() if position <= last}
        self.kept_extent = Extent(self.kept_extent.first, min(self.kept_extent.last, last), min(self.kept_extent.gap, last))
