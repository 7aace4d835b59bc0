"""The threads that answer queries, whatever store the index lies in: how many ask at once, how long each may take."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from contracts.errors import IndexBehind, Overloaded, StoreUnavailable
from contracts.query import Query
from functions.stores.search.entries import Shown
from functions.stores.search.follower import Follower
from functions.stores.search.pages import Found, Page

Answer = TypeVar("Answer")
ABOVE_ALL = 1 << 62
QUERY_SECONDS = 2.0
MATCHING_SECONDS = 60.0  # of all that fit, instead of a page
THREADS = 4
ASKED_AT_ONCE = 100


class Asking(ABC):
    """Answers queries over jobs on threads of its own, each within `seconds`.

    Until a store has opened its index (`_shown` says of a type's payload what may be seen) it looks at the jobs one by one, and
    refuses to read payloads.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._shown: Shown | None = None
        self._made_of = ""
        self.follower: Follower | None = None
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="search")
        self._local = threading.local()
        self._asked = 0

    async def find(self, query: Query, now: int, before: int, most: int) -> Found:
        """Jobs with numbers below `before`, newest first. Raises QueryTooSlow, IndexBehind, StoreUnavailable."""
        return await self._ask(query, self._seconds, now, before, lambda page: page.find(most))

    async def matching(self, query: Query, now: int) -> list[tuple[str, str]]:
        """(id, status) of every job that fits, newest first, from one snapshot. Raises as `find`, after a minute."""
        return await self._ask(query, max(self._seconds, MATCHING_SECONDS), now, ABOVE_ALL, lambda page: page.matching())

    async def _stop(self) -> None:
        """Ends the follower and the threads."""
        if self.follower is not None:
            await asyncio.to_thread(self.follower.stop)
        await asyncio.to_thread(self._pool.shutdown, wait=True)

    async def _ask(self, query: Query, seconds: float, now: int, before: int, what: Callable[[Page], Answer]) -> Answer:
        if self._shown is None and query.reads_text:
            raise IndexBehind("the search index is not open yet; try again")
        if self._asked >= ASKED_AT_ONCE:
            raise Overloaded(f"{self._asked} queries wait for an answer; try again")
        try:
            answer = asyncio.get_running_loop().run_in_executor(self._pool, self._answer, query, seconds, now, before, what)
        except RuntimeError:  # its threads are gone
            raise StoreUnavailable("the job store is closed") from None
        self._asked += 1
        try:
            return await answer
        finally:
            self._asked -= 1

    @abstractmethod
    def _answer(self, query: Query, seconds: float, now: int, before: int, what: Callable[[Page], Answer]) -> Answer:
        """What `what` makes of a page, on one of the threads."""


def nothing_hidden(job_type: str, payload: object) -> object:
    """What is shown before anybody said what may be."""
    return payload
