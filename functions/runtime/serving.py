"""Serving an application by uvicorn on a socket that is open already, within a loop that does other things, too."""

import asyncio
import contextlib
import socket
from typing import Any

from functions.runtime.settings import Settings


class Serving:
    """A running HTTP server."""

    def __init__(self, server: Any, task: "asyncio.Task[None]") -> None:
        self._server, self._task = server, task

    @classmethod
    async def begin(cls, application: Any, listener: socket.socket, settings: Settings) -> "Serving":
        """Returns when it takes requests. Those under way at the end may take as long as a drain, and a little more."""
        import uvicorn

        from functions.runtime.wire import bounds_of, strict_protocol

        config = uvicorn.Config(
            application, http=strict_protocol(bounds_of(settings)), loop="none", lifespan="off", log_config=None, access_log=False, server_header=False,
            proxy_headers=False, date_header=False, timeout_keep_alive=75, backlog=2048, timeout_graceful_shutdown=int(settings.drain_seconds) + 5,
        )  # fmt: skip
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment] # whoever runs the loop does
        task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0.005)
        return cls(server, task)

    def end(self) -> None:
        """Takes no more."""
        self._server.should_exit = True

    async def ended(self) -> None:
        """Returns when the last request has its answer."""
        await self._task
