"""Gives committed events their positions, and tells those who listen in this process.

Whoever commits has its events placed before it answers, 200 ms at most: a lock that is not free, or a server that goes away
just then, delays no answer for longer, and what is left is placed by the next commit of anybody, or by the tick.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

import psycopg

from contracts.event import Event
from functions.stores.backends.postgres_audience import Audience
from functions.stores.backends.postgres_database import Link, words_of
from functions.stores.backends.postgres_statements import call

log = logging.getLogger("observatory.postgres")
RETRY_SECONDS = 0.2


class Placing:
    """`link` is its own. Commits of this process wait here for their place; one call places all that wait, and others' too."""

    def __init__(self, link: Link, audience: Audience, patience_seconds: float) -> None:
        self._link, self._audience, self._patience = link, audience, patience_seconds
        self._own: dict[int, tuple[Sequence[Event], asyncio.Future[None]]] = {}
        self._asked = asyncio.Event()
        self._rounds: list[asyncio.Future[None]] = []  # those who wait until everything that is committed now is placed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="placing")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._link.drop()

    async def place(self, commit_id: int, events: Sequence[Event]) -> None:
        """Returns when this commit has its place and its listeners were told, or when patience ends."""
        placed = asyncio.get_running_loop().create_future()
        self._own[commit_id] = (events, placed)
        self._asked.set()
        await asyncio.wait([placed], timeout=self._patience)

    async def place_all(self) -> None:
        """Places whatever is committed, also by those who died before they could. The same patience."""
        done = asyncio.get_running_loop().create_future()
        self._rounds.append(done)
        self._asked.set()
        await asyncio.wait([done], timeout=self._patience)

    def nudge(self) -> None:
        """Somebody said that there is something to place."""
        self._asked.set()

    # ---- the one who does it ----------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            rounds, self._rounds = self._rounds, []
            try:
                while await self._step():
                    pass
            except (psycopg.Error, TimeoutError, OSError) as error:
                log.warning("events wait for their place: %s", words_of(error), extra={"action": "feed.waiting"})
                await asyncio.sleep(RETRY_SECONDS)
                self._asked.set()
            except Exception:  # nobody else places what this process commits
                log.exception("events could not be placed", extra={"action": "feed.failed"})
                await asyncio.sleep(RETRY_SECONDS)
                self._asked.set()
            for done in rounds:
                _set(done)

    async def _step(self) -> bool:
        """One call; True if commits are left to place."""
        ((*placed, head),) = await self._link.ask(call("place", own=list(self._own)))
        waiting = []
        for commit_id, last, count in placed:
            events, done = self._own.pop(commit_id)
            waiting.append(done)
            self._audience.keep(last - count + 1, events)
        _, position, left = head
        await self._audience.reach(position)
        for done in waiting:
            _set(done)
        return bool(left)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
