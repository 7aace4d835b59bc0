"""Events as AMQP messages: packed together where all of them go to the same Triggers, and taken out again.

A message has the headers by which the exchange routes it: of the attributes that filters name, those that all its events
share. For events with one set of matching Triggers that gives exactly this set: a filter that all of them fulfil finds its
values in the headers, and one that an event does not fulfil finds another value or none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

from contracts import strict_json
from contracts.event import Event
from eventing import codec
from eventing.codec import BATCHED, STRUCTURED
from eventing.triggers import Trigger

MAX_EVENTS = 100
MAX_BYTES = 262_144
_ROUTES = 4_096
Values = tuple[str | None, ...]


class Message(NamedTuple):
    """What travels: `events` is how many are in the body."""

    headers: dict[str, str]
    content_type: str
    body: bytes
    events: int


@dataclass(frozen=True, slots=True)
class Received(Event):
    """An event as it came by a message, whose delivery tag it keeps."""

    tag: int = 0


class Packer:
    """Packs events for these Triggers. Events that none of them matches are left out."""

    def __init__(self, triggers: Sequence[Trigger]) -> None:
        self._triggers = triggers
        self._filters = tuple({name: None for trigger in triggers for name in trigger.attributes})
        self._routes: dict[Values, tuple[int, ...]] = {}

    def pack(self, events: Sequence[Event]) -> list[Message]:
        """The messages of events, in the order of each message's first event."""
        groups: dict[tuple[int, ...], tuple[list[Event], dict[Values, None]]] = {}
        for event in events:
            values = tuple(map(event.document.get, self._filters))
            route = self._routes.get(values)
            if route is None:
                route = self._find_route(values, event)
            if route:
                members, kinds = groups.setdefault(route, ([], {}))
                members.append(event)
                kinds[values] = None
        return [message for route, (members, kinds) in groups.items() for message in self._messages(route, members, kinds)]

    def _find_route(self, values: Values, event: Event) -> tuple[int, ...]:
        """The Triggers that match, by their place; kept by the values that filters look at: most events share a few."""
        if len(self._routes) >= _ROUTES:
            self._routes.clear()
        route = tuple(place for place, trigger in enumerate(self._triggers) if trigger.matches(event))
        self._routes[values] = route
        return route

    def _messages(self, route: tuple[int, ...], events: Sequence[Event], kinds: Iterable[Values]) -> Iterable[Message]:
        """As many messages as deliveries of one of the Triggers may be under way at once, if there are so many events:
        several consumers of a queue shall each hear of its work."""
        columns = zip(self._filters, zip(*kinds, strict=True), strict=True)
        headers = {name: values[0] for name, values in columns if values[0] is not None and len(set(values)) == 1}
        size = min(ceil(len(events) / max(self._triggers[place].parallelism for place in route)), MAX_EVENTS)
        for bodies in _portions([event.canonical() for event in events], size):
            if len(bodies) == 1:
                yield Message(headers, STRUCTURED, bodies[0], 1)
            else:
                yield Message(headers, BATCHED, b"[" + b",".join(bodies) + b"]", len(bodies))


def _portions(bodies: Sequence[bytes], most: int) -> Iterable[list[bytes]]:
    portion: list[bytes] = []
    size = 0
    for body in bodies:
        if portion and (len(portion) >= most or size + len(body) > MAX_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(body)
        size += len(body)
    yield portion


def letter(event: Event) -> Message:
    """A message of one event, for one Trigger's dead letters."""
    return Message({}, STRUCTURED, strict_json.dumps(event.document), 1)


def unpack(content_type: str | None, body: bytes, tag: int) -> list[Received]:
    """The events of a message. Raises Refused for what is no message of ours."""
    headers = [(b"content-type", (content_type or "").encode("latin-1", "replace"))]
    return [Received(event.document, tag=tag) for event in codec.decode(headers, body, max_items=10_000, max_bytes=100_000_000)]


def death(headers: Any) -> str | None:
    """Why RabbitMQ gave a message up (its x-death header); None when it did not."""
    try:
        return str(headers["x-death"][0]["reason"])
    except (KeyError, IndexError, TypeError):
        return None
