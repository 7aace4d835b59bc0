"""Server-Sent Events (HTML Living Standard, section 9.2), and what a live stream says."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from console.api.documents import EventDocument
from console.api.errors import ObservatoryApiError, ServerUnreachable
from console.api.exchange import PASSING, Answer, Unreached, pause_before_next, problem_of, retry_after

RESET = "reset"
SILENCE_SECONDS = 45.0  # the server sends a comment each 15 s; three missed are a dead line


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came: `id` is the last id seen on the stream."""

    id: str
    event: str
    data: str


class SseParser:
    """Bytes in, messages out; keeps the last id and the retry time of the stream."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_seconds: float | None = None
        self._rest = b""
        self._event = ""
        self._data: list[str] = []

    def forget_partial(self) -> None:
        """A new connection begins: what the old one left unfinished comes again."""
        self._rest, self._event, self._data = b"", "", []

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The messages that this chunk completes. Lines end in LF, CRLF or CR."""
        text = self._rest + chunk
        if text.endswith(b"\r"):  # its LF may be in the next chunk
            text, held = text[:-1], b"\r"
        else:
            held = b""
        *lines, rest = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = rest + held
        for line in lines:
            message = self._line(line.decode("utf-8", "replace"))
            if message is not None:
                yield message

    def _line(self, line: str) -> Message | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self.last_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_seconds = int(value) / 1000
        return None

    def _dispatch(self) -> Message | None:
        event, data = self._event, self._data
        self._event, self._data = "", []
        return Message(self.last_id, event or "message", "\n".join(data)) if data else None


@dataclass(frozen=True, slots=True)
class StreamItem:
    """What a live stream brings: an event at its position, or `reset` (event None): what lay between is gone, read anew."""

    position: int
    event: EventDocument | None

    @property
    def is_reset(self) -> bool:
        return self.event is None


def item_of(message: Message) -> StreamItem | None:
    """A stream's item; None for messages of a kind that this version does not know."""
    position = int(message.id) if message.id.isascii() and message.id.isdigit() else 0
    if message.event == RESET:
        return StreamItem(position, None)
    try:
        document: Any = json.loads(message.data)
    except ValueError:
        return None
    return StreamItem(position, cast(EventDocument, document)) if isinstance(document, dict) and "type" in document else None


class Loss:
    """How long a stream has been cut, and when to give it up."""

    def __init__(self, url: str, patience_seconds: float) -> None:
        self._url = url
        self._patience_seconds = patience_seconds
        self._since: float | None = None
        self._tries = 0

    def over(self) -> None:
        self._since, self._tries = None, 0

    def pause(self, reason: str, asked_seconds: float | None) -> float:
        """Seconds before the next try. Raises ServerUnreachable when patience is at its end."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        pause = asked_seconds if asked_seconds is not None else pause_before_next(Unreached(self._url, reason, True), self._tries)
        if now - self._since + pause > self._patience_seconds:
            raise ServerUnreachable(self._url, reason)
        self._tries += 1
        return pause


def check_stream(answer: Answer) -> None:
    """Returns for a refusal that may pass, so that the stream is tried again. Raises ObservatoryApiError for others."""
    if answer.status not in PASSING:
        raise ObservatoryApiError(answer.status, problem_of(answer), retry_after(answer))
