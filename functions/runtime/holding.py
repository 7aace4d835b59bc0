"""What one at a time may do, of all processes that share the store: held under a lease that is renewed while it is done.

Whoever is killed keeps it until the lease has run out. Whoever is stopped for longer than that has lost it, and sees that by its
own clock before it begins anything more; what it was in the middle of is done twice then.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator

from contracts.errors import ObservatoryError
from functions.stores.job_store import JobStore

HELD_SECONDS = 15.0
LETTING_GO_SECONDS = 2.0  # at most: the lease ends by itself, too


class Hold:
    """One lease, of which `holder` is the name under which it may be taken again."""

    def __init__(self, store: JobStore, name: str, holder: str, seconds: float = HELD_SECONDS) -> None:
        self._store, self._name, self._holder, self._seconds = store, name, holder, seconds
        self._until = 0.0  # by this process's own clock, which also goes on while it is stopped

    @property
    def is_held(self) -> bool:
        return time.monotonic() < self._until

    async def take(self) -> bool:
        """Takes or renews it; whether it is this holder's now."""
        asked = time.monotonic()
        taken = await self._store.hold(self._name, self._holder, self._seconds)
        self._until = asked + self._seconds if taken else 0.0
        return taken

    async def renew(self) -> None:
        """Keeps it, also over a short absence of the store, until it is lost."""
        while self.is_held:
            await asyncio.sleep(self._seconds / 3)
            with contextlib.suppress(ObservatoryError):
                await self.take()

    async def let_go(self) -> None:
        self._until = 0.0
        with contextlib.suppress(ObservatoryError, TimeoutError):
            async with asyncio.timeout(LETTING_GO_SECONDS):
                await self._store.let_go(self._name, self._holder)


@contextlib.asynccontextmanager
async def holding(store: JobStore, name: str, holder: str | None, seconds: float = HELD_SECONDS) -> AsyncIterator[Hold | None]:
    """The lease, renewed meanwhile; None when another has it. Without a holder's name nobody else can take it up again."""
    hold = Hold(store, name, holder or str(uuid.uuid4()), seconds)
    if not await hold.take():
        yield None
        return
    renewing = asyncio.create_task(hold.renew(), name=f"hold {name}")
    try:
        yield hold
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await hold.let_go()
