"""A response that is a live stream (Server-Sent Events, HTML Living Standard, section 9.2)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STALLED_SECONDS = 30.0


class EventStream(Response):
    """Sends what `chunks` yields until it ends, the client goes, or the client takes nothing for a while."""

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[bytes, None], *, stalled_seconds: float = STALLED_SECONDS) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._chunks, self._stalled_seconds = chunks, stalled_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        sending = asyncio.create_task(self._send_all(send))
        going = asyncio.create_task(_client_goes(receive))
        try:
            await asyncio.wait({sending, going}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(sending, going)
            await self._chunks.aclose()

    async def _send_all(self, send: Send) -> None:
        async for chunk in self._chunks:
            async with asyncio.timeout(self._stalled_seconds):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        async with asyncio.timeout(self._stalled_seconds):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _client_goes(receive: Receive) -> None:
    message: Any = None
    while message is None or message["type"] != "http.disconnect":
        message = await receive()


async def _end(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, TimeoutError, OSError):
            await task
