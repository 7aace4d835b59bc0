"""Port: what delivers events to the functions, by the Triggers' rules."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.errors import ObservatoryError
from contracts.event import Event
from eventing.publisher import Publisher

Subscriber = Callable[[str, Sequence[Event]], Awaitable[Sequence[int]]]
"""A function hosted in this process: gets a Trigger's name and events, answers an HTTP status for each event.

2xx took it; 5xx, 404, 408, 409, 429 and any exception ask for another try; other answers drop the event.
"""

Refuse = Callable[[str, ObservatoryError, dict[str, str], bytes], Awaitable[None]]
"""Keeps bytes that are no event, with the name of the Trigger that got them. Raises Passing when it cannot now."""


@dataclass(slots=True)
class TriggerStatistics:
    """Events by what became of them here. `dropped` were refused for good (3xx, most 4xx), `dead_lettered` given to the
    dead letters, `lost` had no deadLetterSink, `pending` are held now."""

    delivered: int = 0
    retried: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    lost: int = 0
    pending: int = 0

    @property
    def done(self) -> int:
        return self.delivered + self.dead_lettered + self.dropped + self.lost


class Broker(Publisher, Protocol):
    """A Publisher that also delivers, between start and stop."""

    async def start(self) -> None:
        """Begins to deliver. Raises BrokerUnavailable when it cannot."""
        ...

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Takes no more, lets deliveries under way end within the grace, and leaves the rest unconfirmed."""
        ...

    async def deliver_alone(self, trigger: str, event: Event) -> tuple[int, str]:
        """Delivers an event to one Trigger's subscriber, once; its status and what it said. Raises NotFound."""
        ...

    @property
    def statistics(self) -> Mapping[str, TriggerStatistics]:
        """What became of the events that were delivered from this process, by Trigger."""
        ...
