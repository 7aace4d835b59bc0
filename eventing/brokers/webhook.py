"""Delivery of one event at a time to a URL: a POST in binary mode, as the Knative Brokers send it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from contracts.event import Event
from contracts.trace import traceparent_of
from eventing.codec import encode_binary
from eventing.outcomes import NO_ANSWER

if TYPE_CHECKING:
    import httpx

HttpClientFactory = Callable[[], "httpx.AsyncClient"]
KEPT_BYTES = 768  # of an answer; that much fits into knativeerrordata
READ_BYTES = 65_536  # of an answer; beyond that the connection is dropped rather than reused


def new_http_client() -> "httpx.AsyncClient":
    """A client that follows no redirect (a 3xx counts as delivered) and gives up after 30 s."""
    import httpx

    return httpx.AsyncClient(timeout=30.0, follow_redirects=False, headers={"user-agent": "observatory"})


class Webhooks:
    """POSTs events to URLs over one client, made when the first event goes out."""

    def __init__(self, http_client: HttpClientFactory = new_http_client) -> None:
        self._new_client = http_client
        self._client: httpx.AsyncClient | None = None

    async def post(self, url: str, event: Event) -> tuple[int, bytes]:
        """The status and the beginning of the answer; NO_ANSWER and the reason when there was none."""
        if self._client is None:
            self._client = self._new_client()
        try:
            headers, body = encode_binary(event)
            if (trace := traceparent_of(event.attribute("traceparent"))) is not None:
                headers.append(("traceparent", trace))  # CloudEvents' distributed tracing extension: the request is part of the trace
            async with self._client.stream("POST", url, headers=headers, content=body) as answer:
                return answer.status_code, await _beginning(answer)
        except Exception as error:  # whatever went wrong, there was no answer, and the event is tried again
            return NO_ANSWER, f"{type(error).__name__}: {error}".encode()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


async def _beginning(answer: "httpx.Response") -> bytes:
    kept = bytearray()
    size = 0
    async for chunk in answer.aiter_bytes():
        kept += chunk[: KEPT_BYTES - len(kept)]
        size += len(chunk)
        if size > READ_BYTES:
            break
    return bytes(kept)
