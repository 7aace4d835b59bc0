"""How httpx is set up, and what its faults mean; the one place that both clients take it from."""

import ssl
from collections.abc import Callable
from typing import Any

import httpx

from console.api.addresses import is_local
from console.api.exchange import Answer, Call, Unreached
from console.api.stream import SILENCE_SECONDS, SseParser
from contracts.trace import traceparent_of


def options(url: str, key: str | None, timeout: float) -> dict[str, Any]:
    """Arguments of httpx.Client and httpx.AsyncClient. `timeout` bounds each wait for bytes, in seconds.

    A loopback server is never asked through a proxy. Without TLS no certificates are read, which takes 30 ms.
    """
    headers = {"user-agent": "observatory-client", "accept": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    verify: Any = True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    limits = httpx.Timeout(timeout, connect=min(timeout, 5.0))
    return {"base_url": url, "headers": headers, "timeout": limits, "verify": verify, "trust_env": not is_local(url)}


def request_of(call: Call, timeout: float, trace: Callable[[], str | None]) -> dict[str, Any]:
    """Arguments of `request`; what may make a job is sent with the caller's trace."""
    arguments: dict[str, Any] = {"params": list(call.query), "content": call.body, "headers": dict(call.headers)}
    if call.method == "POST" and (traceparent := traceparent_of(trace())) is not None:
        arguments["headers"]["traceparent"] = traceparent
    if call.hold_seconds:
        arguments["timeout"] = httpx.Timeout(timeout + call.hold_seconds, connect=min(timeout, 5.0))
    return arguments


def answer_of(response: httpx.Response, url: str) -> Answer:
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, response.content, url)


def unreached(error: httpx.TransportError, url: str) -> Unreached:
    """Why no answer came, in words, and whether the request may have arrived."""
    sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol)
    return Unreached(url, reason_of(error), sent)


def reason_of(error: Exception) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return "the connection was not taken in time"
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    text = str(error)
    if "Connection refused" in text or "All connection attempts failed" in text:
        return "connection refused"
    if "Name or service not known" in text or "nodename" in text or "Temporary failure in name" in text:
        return "no such host"
    if "WRONG_VERSION_NUMBER" in text:
        return "it does not speak TLS; its address begins with http://"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"its certificate is not trusted: {text.rpartition(': ')[2].partition(' (_ssl')[0]}; SSL_CERT_FILE names another authority"
    if "Server disconnected" in text or "illegal status line" in text:
        return "it hung up without an answer, or speaks TLS: then its address begins with https://"
    return text or type(error).__name__


def stream_request(parser: SseParser, query: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Arguments of `stream`, going on after the last event seen."""
    headers = {"accept": "text/event-stream"}
    if parser.last_id:
        headers["last-event-id"] = parser.last_id
    parser.forget_partial()
    return {"params": list(query), "headers": headers, "timeout": httpx.Timeout(SILENCE_SECONDS, connect=5.0)}
