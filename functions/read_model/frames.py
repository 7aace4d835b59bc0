"""What live streams are made of: events as ready bytes, the newest of them within bounds, and what a watcher wants of them."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from contracts.event import Event
from contracts.event_types import EVENT_TYPES
from contracts.query import Query
from functions.read_model.jobs_then import JobThen

HELD_EVENTS = 4_096
HELD_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a watcher wants; empty means any. With a query, events of jobs that fit it right after the event."""

    types: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    query: Query | None = None

    def takes(self, event: Event) -> bool:
        document = event.document
        return (
            (not self.types or document["type"] in self.types)
            and (not self.queues or document.get("queue") in self.queues)
            and (not self.subjects or document.get("subject") in self.subjects)
        )


EVERYTHING = Wanted()


@dataclass(slots=True)
class Frame:
    """An event as it goes out, and as filters look at it; `then` is its job right after it, once somebody asked."""

    position: int
    event: Event
    text: bytes
    then: JobThen | None = None
    is_asked: bool = False


def frame_of(event: Event) -> Frame:
    """The message of a (redacted) event: its position as id, its short type as name, its JSON as data."""
    kind = EVENT_TYPES.get(event.type)
    name = kind.short if kind is not None else "message"
    text = b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, name.encode(), orjson.dumps(event.document))
    return Frame(event.position, event, text)


class Held:
    """The newest frames, within bounds; whole from `floor` (exclusive) to `last`."""

    def __init__(self, position: int) -> None:
        self.floor = self.last = position
        self._frames: list[Frame] = []
        self._bytes = 0

    def add(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._frames.append(frame)
            self._bytes += len(frame.text)
            self.last = frame.position
        if len(self._frames) > HELD_EVENTS or self._bytes > HELD_BYTES:
            self._trim()

    def begin_at(self, position: int) -> None:
        """Anew, for what comes next does not follow on."""
        self.floor = self.last = position
        self._frames, self._bytes = [], 0

    def _trim(self) -> None:
        """Down to half, so that it is done seldom."""
        count = 0
        while len(self._frames) - count > HELD_EVENTS // 2 or self._bytes > HELD_BYTES // 2:
            self._bytes -= len(self._frames[count].text)
            count += 1
        self.floor = self._frames[count - 1].position
        del self._frames[:count]

    def after(self, position: int) -> list[Frame]:
        return self._frames[bisect_right(self._frames, position, key=lambda frame: frame.position) :]
