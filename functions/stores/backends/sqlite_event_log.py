"""`EventLog` on SQLite: a view of the events that the job store holds, not a copy of them."""

from collections.abc import Sequence

from contracts.event import Event
from functions.stores.backends import sqlite_reading as reading
from functions.stores.backends.sqlite_database import SqliteDatabase
from functions.stores.event_log import BUCKET_POSITIONS

_ALL = 1 << 62


class SqliteEventLog:
    """The rows of `events` in `database`, which the job store opens and closes."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def insert_batch(self, events: Sequence[Event]) -> int:
        """Copies nothing: the feed and the archive are the same rows here."""
        return 0

    async def of_subject(self, subject: str) -> list[Event]:
        return await self._database.read(lambda connection: reading.events_of(connection, subject, 0, _ALL))

    async def of_bucket(self, bucket: int) -> list[Event]:
        first = bucket * BUCKET_POSITIONS
        found = await self._database.read(lambda connection: reading.feed(connection, first - 1, BUCKET_POSITIONS))
        return [event for event in found if event.position < first + BUCKET_POSITIONS]
