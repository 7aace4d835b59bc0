"""One connection to RabbitMQ with pika, on this process's event loop: its callbacks made awaitable."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPConnectionError, AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError

from contracts.errors import ConfigurationError

logging.getLogger("pika").setLevel(logging.CRITICAL)  # what matters is said here, as a sentence

HEARTBEAT_SECONDS = 10
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 5.0
ANSWER_SECONDS = 30.0
FILES = ("cacertfile", "certfile", "keyfile")  # for TLS, as RabbitMQ's own URIs name them


def parameters(url: str, name: str) -> pika.URLParameters:
    """pika's parameters of a URL; what it does not set is ours. Raises ConfigurationError."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
            raise ValueError("no amqp URL")  # noqa: TRY301
        given = parse_qs(parts.query)
        files = {name: given.pop(name)[0] for name in FILES if name in given}
        found = pika.URLParameters(parts._replace(query=urlencode(given, doseq=True)).geturl())
        if files and found.ssl_options is None:
            raise ValueError("files for TLS, and no TLS")  # noqa: TRY301
    except Exception:  # whatever pika makes of the part at fault; the URL holds a password, so it is not shown
        words = "it takes amqp://user:password@host:5672/vhost, or amqps:// for TLS, with special characters percent-encoded"
        raise ConfigurationError(f"OBSERVATORY_RABBITMQ_URL is not usable: {words}") from None
    if files:
        found.ssl_options = pika.SSLOptions(_context(**files))
    ours = {"heartbeat": HEARTBEAT_SECONDS, "socket_timeout": CONNECT_SECONDS, "stack_timeout": 2 * CONNECT_SECONDS}
    for setting, value in ours.items():
        if setting not in given:
            setattr(found, setting, value)
    found.client_properties = {"connection_name": name}
    return found


def _context(cacertfile: str | None = None, certfile: str | None = None, keyfile: str | None = None) -> ssl.SSLContext:
    """Checks the server's certificate and name; trusts `cacertfile` alone where it is given. Raises ConfigurationError."""
    try:
        context = ssl.create_default_context(cafile=cacertfile)
        if certfile is not None or keyfile is not None:
            context.load_cert_chain(certfile or "", keyfile)
    except OSError as error:  # ssl.SSLError is one
        names = ", ".join(name for name in (cacertfile, certfile, keyfile) if name is not None)
        raise ConfigurationError(f"OBSERVATORY_RABBITMQ_URL names files for TLS that cannot be used ({names}): {error.strerror or error}") from error
    return context


def address_of(found: pika.URLParameters) -> str:
    """Where it is, for people: without user and password."""
    return f"{found.host}:{found.port}"


class NoAnswer(AMQPError):  # type: ignore[misc]
    """RabbitMQ lives and does not answer a request."""


class Connection:
    """An open connection. `lost` is done with the reason once it is of no use; a channel that breaks takes it along."""

    def __init__(self, raw: AsyncioConnection, gone: "asyncio.Future[Exception]") -> None:
        self._raw, self._gone = raw, gone
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        gone.add_done_callback(lambda _: _resolve(self.lost, gone.result()))

    @classmethod
    async def open(cls, found: pika.URLParameters) -> "Connection":
        """Raises AMQPError or OSError when it cannot be opened."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[AsyncioConnection] = loop.create_future()
        gone: asyncio.Future[Exception] = loop.create_future()
        raw = AsyncioConnection(
            found,
            on_open_callback=lambda connection: _resolve(opened, connection),
            on_open_error_callback=lambda _, error: _fail(opened, error),
            on_close_callback=lambda _, error: _resolve(gone, error),
            custom_ioloop=loop,
        )
        try:
            return cls(await opened, gone)
        except AMQPConnectorException as error:  # such as of TLS: no AMQPError by itself
            raise AMQPConnectionError(error) from error
        except asyncio.CancelledError:
            if not raw.is_closing and not raw.is_closed:
                raw.close()
            raise

    def on_blocked(self, callback: Callable[[bool], None]) -> None:
        """Tells when RabbitMQ takes no messages for lack of memory or disk, and when it does again."""
        self._raw.add_on_connection_blocked_callback(lambda *_: callback(True))
        self._raw.add_on_connection_unblocked_callback(lambda *_: callback(False))

    @property
    def program(self) -> str:
        """What answers, and its version."""
        said = self._raw.server_properties or {}
        words = [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in (said.get("product"), said.get("version")) if word]
        return " ".join(words) or "RabbitMQ"

    async def channel(self) -> "Channel":
        """A new channel. Raises AMQPError."""
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        raw = self._raw.channel(on_open_callback=lambda channel: _resolve(opened, channel))
        raw.add_on_close_callback(lambda _, error: self._break(error))
        await self._first(opened)
        return Channel(raw, self)

    async def _first(self, answer: "asyncio.Future[Any]") -> Any:
        """The answer, unless the connection is lost first. Raises what it was lost by."""
        await asyncio.wait((answer, self.lost), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise self.lost.result()

    def _break(self, error: Exception) -> None:
        _resolve(self.lost, error)
        if not self._raw.is_closing and not self._raw.is_closed:
            self._raw.close()

    async def close(self) -> None:
        """Closes in order; abruptly when that is not answered in time."""
        if not self._raw.is_closing and not self._raw.is_closed:
            self._raw.close()
        if not (await asyncio.wait((self._gone,), timeout=CLOSE_SECONDS))[0]:
            self._raw._terminate_stream(None)  # pika has no public word for it, and would keep the socket
            await asyncio.wait((self._gone,), timeout=CLOSE_SECONDS)


class Channel:
    """An open channel. `raw` is pika's, for what is sent without an answer."""

    def __init__(self, raw: Any, connection: Connection) -> None:
        self.raw, self._connection = raw, connection

    async def ask(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Calls a method of `raw` and returns RabbitMQ's answer. Raises AMQPError when the channel breaks instead, NoAnswer."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        method(*arguments, **named, callback=lambda frame: _resolve(answer, frame))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._connection._first(answer)
        except TimeoutError:
            raise NoAnswer(f"no answer to {method.__name__}") from None

    def fail(self, words: str) -> None:
        """Gives the connection up."""
        self._connection._break(AMQPError(words))


def _resolve(future: "asyncio.Future[Any]", value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def reason_of(error: BaseException) -> str:
    """Why there is no connection, in words."""
    if isinstance(error, AMQPConnectionError) and len(error.args) == 1 and isinstance(error.args[0], AMQPConnectorException):
        error = error.args[0]
    while nested := getattr(error, "exceptions", None):
        error = nested[-1]
    while isinstance(nested := getattr(error, "exception", None), BaseException):
        error = nested
    if isinstance(error, ProbableAuthenticationError):
        return "it refuses user and password"
    if isinstance(error, ProbableAccessDeniedError):
        return "it refuses the virtual host"
    text = getattr(error, "reply_text", None) or getattr(error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
