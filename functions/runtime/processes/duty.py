"""Who publishes: one process at a time, by the store's turn; others stand by and take over when it is gone."""

import asyncio
import contextlib
import logging

from contracts.errors import Passing
from contracts.log_fields import about
from functions.runtime.relay import Relay
from functions.stores.job_store import JobStore

log = logging.getLogger("observatory.relay")
LOOK_SECONDS = 2.0


class Duty:
    """Runs the relay while this process has the turn. A turn that is lost with its connection is another's to take: at worst two
    publish the same for a moment, and doorbells may ring twice."""

    def __init__(self, store: JobStore, relay: Relay) -> None:
        self._store, self._relay = store, relay
        self._on_duty = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="duty")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._set(False)
        with contextlib.suppress(Passing):
            await self._store.give_turn()

    async def _run(self) -> None:
        while True:
            try:
                await self._set(await self._store.take_turn())
            except Passing as error:
                log.warning("publishing waits: %s", error, extra=about("relay.waiting"))
            except Exception:  # nobody else looks after it here
                log.exception("publishing failed", extra=about("relay.failed"))
            await asyncio.sleep(LOOK_SECONDS)

    async def _set(self, on_duty: bool) -> None:
        if on_duty and not self._on_duty:
            await self._relay.start()
        elif self._on_duty and not on_duty:
            await self._relay.stop()
        self._on_duty = on_duty
