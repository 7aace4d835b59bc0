"""`make run`: the whole system in one command. One asyncio process on SQLite; handlers in worker processes."""

import argparse
import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

STARTED = time.monotonic()

from contracts.errors import ConfigurationError, DataFolderInUse, ObservatoryError  # noqa: E402 - the clock starts before the imports
from functions.runtime import adapters  # noqa: E402
from functions.runtime import settings as settings_module  # noqa: E402
from functions.runtime.access import require_keys_or_loopback  # noqa: E402
from functions.runtime.parts import Parts  # noqa: E402
from functions.runtime.settings import Settings  # noqa: E402
from functions.runtime.telling import Teller  # noqa: E402
from functions.runtime.wiring import Services, host  # noqa: E402

log = logging.getLogger("observatory.local")


class LocalBell:
    """Rings the functions of this process."""

    def __init__(self, relay: Any, processor: Any, metrics_engine: Any) -> None:
        self._relay, self._processor, self._metrics_engine = relay, processor, metrics_engine

    def ring_relay(self) -> None:
        self._relay.nudge()

    async def ring_queue(self, queue: str, depth: int) -> None:
        self._processor.ring(queue)

    async def ring_readers(self) -> None:
        self._metrics_engine.wake()


class LocalSystem:
    """All six functions on shared parts, from start to drained stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.parts = Parts(settings, hosted=True)
        self.services = Services(self.parts)
        self.rescued = 0
        self.address = ""
        self._socket: socket.socket | None = None
        self._serving: Any = None

    # ---- start ------------------------------------------------------------------------------------------------

    def take_folder_and_port(self) -> None:
        """Raises DataFolderInUse or ConfigurationError, before anything else is done."""
        require_keys_or_loopback(self.settings.host, self.settings.rules)
        self.parts.folder.acquire()
        try:
            self._socket = bind(self.settings.host, self.settings.port)
        except ConfigurationError:
            self.parts.folder.release()
            raise
        self.address = f"http://{url_host(self.settings.host)}:{self._socket.getsockname()[1]}"
        self.parts.folder.describe({"url": self.address})

    async def start(self) -> None:
        host(self.services)
        self.store = await self.parts.job_store()
        pool = asyncio.create_task(self.services.pool())  # the worker processes start while the rest does
        self.counts = dict(self.parts.recovered.counts if self.parts.recovered else {})
        self.rescued = await self._rescue()
        application = await asyncio.to_thread(_application)
        await pool
        self.processor = await self.services.processor()
        self.metrics_engine = await self.services.metrics_engine()
        await self._start_delivery()
        await self._start_time()
        await self.parts.open_search()
        self.reloading = await self._start_reloading()
        await self._serve(application)

    async def _start_reloading(self) -> "asyncio.Task[None] | None":
        from functions.runtime.reloading import Reloader

        if not self.settings.reload:
            return None
        reloader = Reloader(await self.services.pool(), self._take_over)
        await reloader.begin()
        return asyncio.create_task(reloader.run(), name="reloading")

    async def _take_over(self, catalogue: Any) -> str:
        """The tasks are others now; what that changed, in words."""
        from functions.runtime.redaction import secret_schemas
        from functions.runtime.reloading import difference

        known = await self.parts.catalogue()
        words = difference(known, catalogue)
        await self.store.remember_secrets(secret_schemas(catalogue))  # before any job comes that has them
        known.take(catalogue)
        await self.parts.open_search()  # made anew when other parts are secret now
        await (await self.services.scheduler()).declare()
        return words

    async def _rescue(self) -> int:
        """Whoever held leases is dead, for this process holds the folder. Before anything here can claim a job."""
        rescued = 0
        while True:
            tick = await self.store.tick(rescue_all=True)
            rescued += tick.rescued
            if not tick.more:
                return rescued

    async def _start_delivery(self) -> None:
        from functions.runtime.relay import Relay

        dead_letter = await self.services.dead_letter()
        triggers = self.parts.triggers()
        own = {trigger.subscriber.service or "" for trigger in triggers if (trigger.subscriber.service or "").startswith("processor")}
        subscribers = {
            **dict.fromkeys(own, self.processor.handle),  # `processor`, and those of queues with a Service of their own on the cluster
            "metrics-engine": self.metrics_engine.handle, "dead-letter": dead_letter.handle,
        }  # fmt: skip
        redact = (await self.parts.redactor()).events

        async def feed(after: int, limit: int) -> list[Any]:
            return list(await redact(await self.store.feed(after, limit)))

        self.broker = adapters.embedded_broker(triggers, subscribers, feed)
        dead_letter.deliver = self.broker.deliver_alone
        await self.broker.start()
        self.relay = Relay(self.store, self.broker, redact)
        await self.relay.start()

    async def _start_time(self) -> None:
        from functions.runtime.timer import Timer

        self.parts.keep_bell(LocalBell(self.relay, self.processor, self.metrics_engine))
        scheduler = await self.services.scheduler()
        self.timer = Timer(scheduler.tick, self.store.now, self.settings.tick_seconds)
        self.store.on_committed(self.timer.committed)
        self.timer.start((await scheduler.tick()).next_due_at)
        self.resuming = asyncio.create_task((await self.services.gateway()).bulk.resume(), name="bulk")
        self.sweeping = asyncio.create_task((await self.services.sweeper()).sweep_on(self.settings.tick_seconds), name="retention")

    async def _serve(self, application: Any) -> None:
        from functions.runtime.serving import Serving

        assert self._socket is not None
        self._serving = await Serving.begin(application, self._socket, self.settings)

    # ---- stop -------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Takes no more, lets handlers finish within the grace, gives the rest back, and closes; nothing is lost."""
        self.sweeping.cancel()
        if self.reloading is not None:
            self.reloading.cancel()
        await self.timer.stop()
        await (await self.services.gateway()).drain()
        await (await self.services.read_model()).drain()
        self._serving.end()
        await self.processor.drain()
        await self._serving.ended()
        await self.broker.stop()
        await self.relay.stop()
        await self.metrics_engine.drain()
        await self.parts.close()


def _application() -> Any:
    """Imports the functions (a quarter of a second) and puts them behind one address."""
    from functions.dead_letter.main import app as dead_letter
    from functions.gateway.main import app as gateway
    from functions.read_model.main import app as read_model
    from functions.runtime.hosting import Host

    return Host([gateway, read_model, dead_letter], read_model)


def bind(address: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigurationError naming the setting when the port is held by something else."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} on {address} is held by another program: choose a free one with OBSERVATORY_PORT=8081 make run"
            ) from None
        words = f"cannot listen on {address}:{port} ({error.strerror}): change OBSERVATORY_HOST or OBSERVATORY_PORT"
        raise ConfigurationError(words) from None
    listener.setblocking(False)
    return listener


def url_host(address: str) -> str:
    if address in ("0.0.0.0", "::"):  # noqa: S104 - what was asked for, shown as an address that works
        return "127.0.0.1"
    return f"[{address}]" if ":" in address else address


# ---- the command ------------------------------------------------------------------------------------------------


async def run(settings: Settings, system: LocalSystem) -> int:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    stops = 0

    def on_signal() -> None:
        nonlocal stops
        stops += 1
        asked.set()
        if stops > 1:
            print("Stopped at once; what ran is rescued at the next start.", flush=True)
            os._exit(130)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    await system.start()
    gc.freeze()  # what is there now stays: only what jobs leave behind is looked through
    gc.set_threshold(20_000, 20, 100)
    teller = Teller(settings.log_format)
    if not settings.quiet:
        system.store.on_committed(teller.jobs())
    teller.started(system, await system.parts.catalogue(), time.monotonic() - STARTED)
    await asked.wait()
    teller.stopping(system)
    await system.stop()
    teller.stopped()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make run", description="Runs the whole system on this machine, embedded and durable.")
    parser.add_argument("--quiet", action="store_true", help="no line a job")
    given = parser.parse_args(arguments)
    try:
        settings = settings_module.load({**os.environ, **({"OBSERVATORY_QUIET": "1"} if given.quiet else {})})
        from observability.logs import configure

        configure(settings.log_format)
        system = LocalSystem(settings)
        try:
            system.take_folder_and_port()
        except DataFolderInUse:
            holder = system.parts.folder.holder()
            print(f"Already running: process {holder.get('pid', '?')}, {holder.get('url', 'still starting')} "
                  f"(data folder {settings.data_folder.resolve()}).")  # fmt: skip
            return 0
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run(settings, system))
    except ObservatoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
