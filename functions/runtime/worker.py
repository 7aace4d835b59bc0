"""gunicorn's worker for a function alone: uvicorn, as strict on the wire as `make run`, that ends when its function has ended."""

import socket
import sys
from typing import Any, ClassVar

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from functions.runtime import entrypoint, settings
from functions.runtime.wire import bounds_of, strict_protocol


class DrainedServer(Server):
    """On Knative a pod is told to end only after its last request, so what the function still does outlives all of them."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if not self.force_exit:
            await entrypoint.ended()


class Worker(UvicornWorker):  # type: ignore[misc]  # it comes without types
    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"loop": "auto", "http": strict_protocol(bounds_of(settings.load()))}

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        self._install_sigquit_handler()
        server = DrainedServer(config=self.config)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
