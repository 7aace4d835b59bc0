"""Those who listen to the feed in this process: told of every event in order, whichever process committed it."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import orjson

from contracts.errors import StoreUnavailable
from contracts.event import Event
from functions.stores.backends.postgres_database import PostgresDatabase
from functions.stores.job_store import Committed

log = logging.getLogger("observatory.postgres")
READ = 1_000


def event_at(position: int | None, body: str) -> Event:
    """An event from its row; without a position while it has none."""
    document = orjson.loads(body)
    if position is not None:
        document["position"] = str(position)
    return Event(document)


class Audience:
    """Nobody is told of anything while nobody wants it, and then nothing is read for it either."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._listeners: list[tuple[Committed, Callable[[], bool]]] = []
        self._of_own: list[Committed] = []
        self._movers: list[Callable[[], None]] = []
        self._told = 0
        self._own: dict[int, Sequence[Event]] = {}  # first position -> events of a commit of this process
        self._one_at_a_time = asyncio.Lock()

    def begin(self, position: int) -> None:
        self._told = position

    def add(self, callback: Committed, wanted: Callable[[], bool] | None) -> None:
        self._listeners.append((callback, wanted or _always))

    def add_own(self, callback: Committed) -> None:
        self._of_own.append(callback)

    def add_mover(self, callback: Callable[[], None]) -> None:
        self._movers.append(callback)

    @property
    def _is_wanted(self) -> bool:
        return any(wanted() for _, wanted in self._listeners)

    def keep(self, first: int, events: Sequence[Event]) -> None:
        """Events of this process, now that they have a position: they need not be read."""
        for position, event in enumerate(events, first):
            event.put_at(position)
        self._own[first] = events
        for callback in self._of_own:
            callback(events)

    async def reach(self, head: int) -> None:
        """Tells everything up to `head` that was not told yet. A reader that fails is tried again with the next call."""
        if head <= self._told:
            return
        for moved in self._movers:
            moved()
        async with self._one_at_a_time:
            try:
                while self._told < head:
                    await self._tell_some(head)
            except StoreUnavailable as error:
                log.warning("listeners wait: %s", error, extra={"action": "feed.waiting"})

    async def _tell_some(self, head: int) -> None:
        if not self._is_wanted:
            self._told = head
            self._own = {first: events for first, events in self._own.items() if first > head}
            return
        events = self._own.pop(self._told + 1, None)
        if events is not None:
            self._tell(events, events[-1].position)
            return
        upto = min((first for first in self._own if first > self._told), default=head + 1) - 1
        rows = await self._database.rows("feed_up_to", after=self._told, upto=min(upto, head), limit=READ)
        self._tell([event_at(*row) for row in rows], rows[-1][0] if len(rows) == READ else min(upto, head))

    def _tell(self, events: Sequence[Event], upto: int) -> None:
        self._told = max(self._told, upto)
        if events:
            for callback, wanted in self._listeners:
                if wanted():
                    callback(events)


def _always() -> bool:
    return True
