"""A transaction until it is committed: tried again when others collide with it, and found out about when the answer was lost.

A connection that goes while the commit is under way leaves open whether it took place. The events tell: nobody else can have
written the same one at its place in its stream. So a server that was killed between commit and answer costs no wrong answer.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg
from psycopg import errors

from contracts.errors import StoreUnavailable
from functions.stores.backends.postgres_clock import DatabaseClock
from functions.stores.backends.postgres_database import AWAY, Link, words_of
from functions.stores.backends.postgres_statements import call
from functions.stores.backends.postgres_transaction import Transaction
from functions.stores.backends.postgres_work import Done, Unsure
from functions.stores.clock import elapsed_ns

log = logging.getLogger("observatory.postgres")
TRIES = 6
QUICK_SECONDS = 1.0
FIND_OUT_SECONDS = 5.0
_COLLISIONS = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
_UNKNOWN = "the connection to the job store was lost while this was being stored, and whether it was is not known: ask again, with the same idempotency key"

Transact = Callable[[Transaction, Sequence[Any]], Awaitable[Done]]


class Committing:
    """`transact` does commands within a transaction on `link` and commits it."""

    def __init__(self, link: Link, clock: DatabaseClock, transact: Transact) -> None:
        self._link, self._clock, self._transact = link, clock, transact

    async def rest(self) -> None:
        """Gives the connection back until the next commit."""
        await self._link.drop()

    async def commit(self, commands: Sequence[Any], *, lock_seconds: float | None = None) -> Done:
        """Raises StoreUnavailable; whatever else it raises, nothing was stored. `lock_seconds`: how long to wait for a lock, if not
        as long as the link does."""
        may_be_stale = True  # the connection may have died while nobody used it
        for turn in range(TRIES):
            begun = time.monotonic()
            try:
                return await self._try(commands, lock_seconds)
            except _COLLISIONS as error:
                log.debug("tried again: %s", words_of(error), extra={"action": "postgres.collided"})
                await asyncio.sleep(random.random() * 0.005 * 2**turn)
            except Unsure as unsure:
                if (done := await self._find_out(unsure)) is not None:
                    return done
            except AWAY as error:
                if not (may_be_stale and self._link.is_lost and time.monotonic() - begun < QUICK_SECONDS):
                    raise StoreUnavailable(f"the job store does not answer: {words_of(error)}") from error
                may_be_stale = False
        raise StoreUnavailable(f"others changed the same jobs {TRIES} times meanwhile; try again")

    async def _try(self, commands: Sequence[Any], lock_seconds: float | None) -> Done:
        connection = await self._link.connection()
        await self._set_clock()
        transaction = Transaction(connection, self._link.seconds)
        if lock_seconds is not None:
            transaction.add("wait_for_locks", milliseconds=round(lock_seconds * 1_000))
        try:
            return await self._transact(transaction, commands)
        except Unsure as unsure:
            unsure.backend = connection.info.backend_pid if not connection.closed else self._link.backend
            if connection.closed:
                raise
            assert unsure.__cause__ is not None
            await _roll_back(transaction)
            raise unsure.__cause__ from None
        except BaseException:
            await _roll_back(transaction)
            raise

    async def _set_clock(self) -> None:
        for _ in range(3):
            if self._clock.is_fresh:
                return
            asked = elapsed_ns()
            ((micros,),) = (await self._link.ask(call("clock")))[0]
            self._clock.learn(asked, elapsed_ns(), micros)
        self._clock.settle()

    async def _find_out(self, unsure: Unsure) -> Done | None:
        """What was committed, or None: it surely was not. Raises StoreUnavailable when that cannot be known.

        In this order: what a backend that is gone has committed is there to be seen, and one that is not gone may commit yet.
        """
        end = time.monotonic() + FIND_OUT_SECONDS
        while unsure.events and time.monotonic() < end:
            event = unsure.events[0]
            place = {"stream": event.subject, "sequence": int(event.document["sequence"]), "body": event.canonical().decode()}
            try:
                alive, found = await self._link.ask(call("is_backend_alive", pid=unsure.backend), call("find_commit", **place))
            except AWAY:
                await asyncio.sleep(0.2)
                continue
            if found:
                log.info("a commit whose answer was lost took place", extra={"action": "postgres.reconnecting"})
                return Done(unsure.answers, unsure.events, found[0][0])
            if not alive:
                return None
            await asyncio.sleep(0.05)  # it may be committing yet
        raise StoreUnavailable(_UNKNOWN) from unsure.__cause__


async def _roll_back(transaction: Transaction) -> None:
    with contextlib.suppress(psycopg.Error):
        await transaction.roll_back()
