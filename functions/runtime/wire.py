"""HTTP/1.1 on the wire, stricter than uvicorn: what is slow, endless or ambiguous is closed before it costs anything.

Framing follows RFC 9112: a message whose end two readers could see in two places (sections 6.1 and 6.3) is refused, not repaired.
"""

import asyncio
import logging
import resource
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from contracts.log_fields import about
from functions.runtime.settings import Settings

log = logging.getLogger("observatory.wire")
REFUSED = b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
PHRASES = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large", 503: b"Service Unavailable"}
TOLD_EVERY_SECONDS = 60.0
OTHER_FILES = 256  # that are no connections: stores, pipes to workers, what these open


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one connection: how long a request's head and a reader's silence may last, how large a head may be; and how many
    connections there may be."""

    head_seconds: float = 15.0
    stalled_seconds: float = 30.0
    head_bytes: int = 1_048_576
    connections: int = 4_000


class StrictProtocol(HttpToolsProtocol):
    """One connection. What is refused here never reaches a function, and is answered in a line of text."""

    bounds = Bounds()
    _told_at = 0.0
    _untold = 0

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = False

    # ---- the connection ---------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            self._refuse(503, "there are too many connections; try again")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # nothing is upgraded to: it is answered as it stands, and that is all
            if self.cycle is not None:
                self.cycle.keep_alive = False
        except httptools.HttpParserError:
            self._refuse(400, "this is no HTTP request that can be read in one way only")
        else:
            if self._in_head and self._head_bytes > self.bounds.head_bytes:
                self._refuse(431, "the request's head is too large")

    def timeout_keep_alive_handler(self) -> None:
        """Whoever does not even take what was answered is cut off."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self.loop.call_later(self.bounds.stalled_seconds, self._stalled)

    def resume_writing(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        super().resume_writing()

    def _stalled(self) -> None:
        log.info("a reader took nothing for %g s and was cut off", self.bounds.stalled_seconds, extra=about("connection.stalled"))
        self.transport.abort()

    # ---- a body that nobody waits for any more ----------------------------------------------------------------

    def on_response_complete(self) -> None:
        """Who was answered before the body was there may hear it, and then has to end."""
        super().on_response_complete()
        if self.cycle.more_body and self.cycle.response_complete and not self.transport.is_closing():
            self._cancel_head_timer()
            self._head_timer = self.loop.call_later(self.bounds.head_seconds, self.transport.close)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.cycle.response_complete:
            self._cancel_head_timer()

    # ---- the head of a request --------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_timer is None:
            self._await_head()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        self._cancel_head_timer()
        self._check_framing()
        self._check_target()
        super().on_headers_complete()

    def _check_framing(self) -> None:
        """Raises ValueError, which the parser turns into a 400: the body's end must be plain."""
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and (len(codings) > 1 or codings[0].strip().lower() != b"chunked" or self.parser.get_http_version() != "1.1"):
            raise ValueError("a transfer coding that is not understood here")

    def _check_target(self) -> None:
        """A target in absolute form names the host in place of the header (RFC 9112, section 3.2.2); a fragment has no place."""
        if b"#" in self.url:
            raise ValueError("a fragment in the target")
        if not self.url.startswith((b"/", b"*")):
            authority = urlsplit(self.url.decode("ascii")).netloc.encode()
            self.headers[:] = [(name, authority if name == b"host" else value) for name, value in self.headers]

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self.bounds.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self._refuse(408, "the request's head did not arrive in time")

    # ---- the end ----------------------------------------------------------------------------------------------

    def _refuse(self, status: int, words: str) -> None:
        """Answers and closes. A whole request that is still in hand is answered first, and nothing after it."""
        self._cancel_timers()
        self._tell(words)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False
            self.pipeline.clear()
            self.flow.pause_reading()
            return
        if cycle is None or cycle.response_complete or not cycle.response_started:
            body = words.encode()
            self.transport.write(REFUSED % (status, PHRASES[status], len(body), body))
        self.transport.close()

    @classmethod
    def _tell(cls, words: str) -> None:
        """A line a minute at most: strangers do not fill the log."""
        cls._untold += 1
        if time.monotonic() - cls._told_at >= TOLD_EVERY_SECONDS:
            log.info("%d connections were refused, the last one: %s", cls._untold, words, extra=about("connection.refused"))
            cls._told_at, cls._untold = time.monotonic(), 0

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _cancel_timers(self) -> None:
        self._cancel_head_timer()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


def bounds_of(settings: Settings) -> Bounds:
    """The bounds of the settings, once this process may open as many files as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in {soft, resource.RLIM_INFINITY}:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    files = settings.connections_max if soft == resource.RLIM_INFINITY else max(soft - OTHER_FILES, soft // 2)
    connections = min(settings.connections_max, files)
    return Bounds(settings.header_seconds, settings.reader_seconds, max(2 * settings.header_bytes, 1_048_576), connections)


def strict_protocol(bounds: Bounds) -> type[StrictProtocol]:
    """The protocol within these bounds, as a server wants it: a class."""
    return type("BoundedProtocol", (StrictProtocol,), {"bounds": bounds})
