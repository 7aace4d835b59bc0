"""A small TCP proxy between a client and a server, whose link a test slows, holds up or cuts. It runs in a thread of its own."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class TcpProxy:
    """Listens on a free port of loopback and passes bytes on to `host:port`.

    `slow(seconds)` delays each piece of data, `hold()` passes nothing on while connections stay open, `cut()` ends every
    connection and refuses new ones, `heal()` undoes all of these.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp proxy", daemon=True)
        self._delay = 0.0
        self._cut = False
        self._open: asyncio.Event | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.port = 0
        self.connections = 0  # accepted so far
        self.bytes = 0  # passed on so far, both ways

    # ---- from the test's thread -------------------------------------------------------------------------------

    def __enter__(self) -> "TcpProxy":
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def slow(self, seconds: float) -> None:
        self._delay = seconds

    def hold(self) -> None:
        self._run(self._set_open(False))

    def cut(self) -> None:
        self._cut = True
        self._run(self._end_links())

    def cut_once(self) -> None:
        """Ends every connection; new ones are welcome."""
        self._run(self._end_links())

    def heal(self) -> None:
        self._delay, self._cut = 0.0, False
        self._run(self._set_open(True))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    # ---- in the proxy's loop ----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        await self._end_links()

    async def _set_open(self, is_open: bool) -> None:
        assert self._open is not None
        if is_open:
            self._open.set()
        else:
            self._open.clear()

    async def _end_links(self) -> None:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As a callback, not a coroutine: the task is ours, so that a cut waits for its end."""
        if self._cut:
            writer.transport.abort()
            return
        self.connections += 1
        link = self._loop.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(lambda done: self._ended(done, writer))

    def _ended(self, link: "asyncio.Task[None]", writer: asyncio.StreamWriter) -> None:
        self._links.discard(link)
        writer.transport.abort()  # also of a link that was cut before it took its first step

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        others: asyncio.StreamWriter | None = None
        try:
            there, others = await asyncio.open_connection(*self._target)
            directions = {self._loop.create_task(self._pass(*ends)) for ends in ((reader, others), (there, writer))}
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
        except OSError:
            pass
        finally:
            for end in filter(None, (writer, others)):
                end.transport.abort()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._open is not None
        while data := await reader.read(65_536):
            await self._open.wait()
            if self._delay:
                await asyncio.sleep(self._delay)
            writer.write(data)
            await writer.drain()
            self.bytes += len(data)
