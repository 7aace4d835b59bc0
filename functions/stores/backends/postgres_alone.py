"""Who may work on a database: any number of systems together, or one that mends it, or carries a data folder into it, alone.

Every open store shares a lock of its session; whoever is alone has it for itself (PostgreSQL manual, "Advisory Locks").
"""

import asyncio
import time

from contracts.errors import DataFolderInUse
from functions.stores.backends.postgres_database import PostgresDatabase, answering
from functions.stores.backends.postgres_statements import call

PATIENCE_SECONDS = 1.0  # for sessions of what has just been stopped


class Alone:
    """`take` before, `give` afterwards; whoever dies gives it back."""

    def __init__(self, database: PostgresDatabase) -> None:
        seconds = database.seconds
        self._place, self._link = database.place, database.link(statement=seconds.statement, lock=seconds.lock)

    async def take(self) -> None:
        """Raises DataFolderInUse while a system runs on the database, StoreUnavailable."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not await self._try():
            if time.monotonic() > until:
                raise DataFolderInUse(f"a system runs on {self._place}, or somebody mends it: stop it first, on every machine, then try again")
            await asyncio.sleep(0.1)

    async def _try(self) -> bool:
        with answering():
            (((taken,),),) = await self._link.ask(call("take_alone"))
        return bool(taken)

    async def give(self) -> None:
        await self._link.drop()
