"""The turn to publish: one process at a time of all that share the database, by a lock of the session (PostgreSQL manual,
"Advisory Locks"); the server frees it when the connection ends, however that happens."""

from functions.stores.backends.postgres_database import Link, answering
from functions.stores.backends.postgres_statements import call


class Turn:
    """`link` is its own: the lock lives as long as that connection."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def take(self) -> bool:
        """False: another process has it. Raises StoreUnavailable."""
        with answering():
            (((taken,),),) = await self._link.ask(call("take_turn"))
        return bool(taken)

    async def give(self) -> None:
        """Raises StoreUnavailable; then the server has taken it back by itself."""
        with answering():
            await self._link.ask(call("give_turn"))

    async def stop(self) -> None:
        await self._link.drop()
