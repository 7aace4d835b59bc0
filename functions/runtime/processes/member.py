"""One process of `make run PROFILE=servers`: `python -m functions.runtime.processes.member ROLE --socket N --parent PID`."""

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Sequence

from contracts.errors import ConfigurationError, ObservatoryError, Passing
from contracts.log_fields import about
from functions.processor.worker_process import die_with_parent
from functions.runtime import settings as settings_module
from functions.runtime.parts import Parts
from functions.runtime.processes.roles import Role, role
from functions.runtime.processes.supervisor import MISCONFIGURED
from functions.runtime.serving import Serving
from functions.runtime.wiring import Services, host
from observability.logs import configure

log = logging.getLogger("observatory.processes")
PAUSES_SECONDS = (0.2, 5.0)


class Member:
    """Answers requests from the first moment on, and starts its work as soon as its stores are there."""

    def __init__(self, parts: Parts, own: Role, listener: socket.socket) -> None:
        self._parts, self._role, self._listener = parts, own, listener
        self._asked = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked.set)
        serving = await Serving.begin(self._role.application, self._listener, self._parts.settings)
        starting = asyncio.create_task(self._start(), name="starting")
        asked = asyncio.create_task(self._asked.wait())
        await asyncio.wait({asked, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting  # raises what ends this process
            await asked
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        await self._role.stop()
        serving.end()
        await serving.ended()
        await self._parts.close()

    async def _start(self) -> None:
        pause, longest = PAUSES_SECONDS
        while True:
            try:
                await self._role.start()
            except Passing as error:
                log.warning("not ready yet: %s", error, extra=about("process.waiting"))
            else:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
        gc.freeze()  # what is there now stays: only what jobs leave behind is looked through
        gc.set_threshold(20_000, 20, 100)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role")
    parser.add_argument("--socket", type=int, required=True, help="the descriptor of the socket to answer on")
    parser.add_argument("--parent", type=int, required=True, help="the supervisor, with which it ends")
    given = parser.parse_args(arguments)
    die_with_parent(given.parent, signal.SIGTERM)
    try:
        settings = settings_module.load()
        configure(settings.log_format)
        parts = Parts(settings, hosted=True, whole=False)
        services = Services(parts)
        host(services)
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(Member(parts, role(given.role, services), socket.socket(fileno=given.socket)).run())
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISCONFIGURED
    except ObservatoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
