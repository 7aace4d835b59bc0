"""Hears by LISTEN what other processes commit, on a link of its own."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import psycopg

from functions.stores.backends.postgres_audience import Audience
from functions.stores.backends.postgres_database import Link, words_of
from functions.stores.backends.postgres_statements import Call, call, statement

log = logging.getLogger("observatory.postgres")
PAUSE_SECONDS = (0.1, 2.0)
QUIET_SECONDS = 15.0  # how long to hear nothing before asking whether anybody is there
_LISTEN = Call(statement("LISTEN observatory"))


class Ear:
    """A notification is the head of the feed, or a word: something was committed that nobody has placed, so `nudge`."""

    def __init__(self, link: Link, audience: Audience, nudge: Callable[[], None]) -> None:
        self._link, self._audience, self._nudge = link, audience, nudge
        self._task: asyncio.Task[None] | None = None

    async def arrive(self) -> bool:
        """Whether a store may be opened here: not while somebody has the database for itself. Raises psycopg.Error."""
        (((present,),),) = await self._link.ask(call("be_present"))
        return bool(present)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="listening")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._link.drop()

    async def _run(self) -> None:
        pause, longest = PAUSE_SECONDS
        while True:
            made = self._link.made
            try:
                await self._hear()
            except (psycopg.Error, TimeoutError, OSError) as error:
                log.warning("hears of no commits of others: %s", words_of(error), extra={"action": "feed.deaf"})
            except Exception:
                log.exception("hears of no commits of others", extra={"action": "feed.deaf"})
            await self._link.drop()
            pause = PAUSE_SECONDS[0] if self._link.made > made else min(pause * 2, longest)
            await asyncio.sleep(pause)

    async def _hear(self) -> None:
        connection = await self._link.connection()
        _, _, ((position,),) = await self._link.ask(_LISTEN, call("be_present"), call("head"))
        await self._audience.reach(position)  # what was committed while nobody heard
        while True:
            async for note in connection.notifies(timeout=QUIET_SECONDS):
                if note.payload.isdigit():
                    await self._audience.reach(int(note.payload))
                else:
                    self._nudge()
            await self._link.ask(call("ping"))
