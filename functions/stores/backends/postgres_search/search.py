"""The search of one deployment: who keeps its index up, and the threads that answer."""

import asyncio
import time
from collections.abc import Callable

import psycopg
from psycopg import errors

from contracts.errors import StoreUnavailable
from contracts.query import Query
from functions.stores.backends.postgres_database import PostgresDatabase, words_of
from functions.stores.backends.postgres_search.index import PostgresIndexRows
from functions.stores.backends.postgres_search.jobs import PostgresJobRows
from functions.stores.backends.postgres_search.link import ThreadLink
from functions.stores.search.asking import QUERY_SECONDS, Answer, Asking, nothing_hidden
from functions.stores.search.bits import BLOCK
from functions.stores.search.entries import Shown
from functions.stores.search.follower import Follower
from functions.stores.search.pages import Deadline, Page
from functions.stores.search.rows import Progress

FORMAT = 1  # raise it when what is indexed changes: an index of another format is made anew
STEP_SECONDS = 60.0


class PostgresSearch(Asking):
    """Answers queries over the jobs of `database`, on connections of its own."""

    def __init__(self, database: PostgresDatabase, *, seconds: float = QUERY_SECONDS) -> None:
        super().__init__(seconds)
        self._database = database
        self._links: list[ThreadLink] = []

    async def open(self, shown: Shown, made_of: str, *, follow: bool = True) -> None:
        """Takes part in keeping the index up, unless `follow` is False.

        `shown` gives of a type's payload what may be seen; `made_of` tells deployment and version of `shown`.
        """
        if (made_of := f"{FORMAT} {made_of}") == self._made_of:
            return
        if self.follower is not None:
            await asyncio.to_thread(self.follower.stop)
        self._shown, self._made_of = shown, made_of
        link = ThreadLink(self._database, STEP_SECONDS, keeps_locks=True)
        turn = Turn(link, made_of)
        self.follower = Follower(turn.jobs, turn.index, shown, link.close, turn.is_ours)
        if follow:
            self.follower.start()

    async def close(self) -> None:
        await self._stop()
        for link in self._links:
            link.close()
        self._links.clear()

    def _answer(self, query: Query, seconds: float, now: int, before: int, what: Callable[[Page], Answer]) -> Answer:
        deadline = Deadline(time.monotonic() + seconds, seconds)
        link = self._own_link()
        try:
            with link.snapshot():
                index = PostgresIndexRows(link)
                usable = index if self._made_of and index.made_of() == self._made_of else None  # another's may show more than we may
                return what(Page(PostgresJobRows(link), usable, query, now, before, self._shown or nothing_hidden, deadline))
        except errors.QueryCanceled as error:
            raise deadline.fault() from error
        except (psycopg.Error, OSError) as error:
            raise StoreUnavailable(f"the job store cannot be searched: {words_of(error)}") from error

    def _own_link(self) -> ThreadLink:
        """This thread's."""
        if not hasattr(self._local, "link"):
            self._local.link = ThreadLink(self._database, max(self._seconds, QUERY_SECONDS))
            self._links.append(self._local.link)
        link: ThreadLink = self._local.link
        return link


class Turn:
    """Which of several processes keeps the index up: whoever has the lock, for as long as its connection lives."""

    def __init__(self, link: ThreadLink, made_of: str) -> None:
        self._link, self._made_of = link, made_of
        self._is_held = False
        self.jobs, self.index = PostgresJobRows(link), PostgresIndexRows(link)

    def is_ours(self) -> bool:
        """Whether it is ours; then the index is there, and of what we may see. Raises psycopg.Error."""
        if not self._link.is_open:
            self._link.reopen()
            self._is_held = False
        self._is_held = self._is_held or self._link.rows("follow_turn")[0][0]
        if not self._is_held:
            return False
        if self.index.made_of() != self._made_of or self.index.progress().position > self.jobs.head():
            with self._link.snapshot():
                head, after_newest = self.jobs.head(), self.jobs.next_number()
            self.index.begin(self._made_of, Progress(head, -(-after_newest // BLOCK) if after_newest > 1 else 0))
        return True
