"""Port: what delivers events to the functions, by the Triggers' rules."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from contracts.event import Event
from eventing.publisher import Publisher

Subscriber = Callable[[str, Sequence[Event]], Awaitable[Sequence[int]]]
"""A function hosted in this process: gets a Trigger's name and events, answers an HTTP status for each event.

2xx took it; 5xx, 404, 408, 409, 429 and any exception ask for another try; other answers drop the event.
"""


class Broker(Publisher, Protocol):
    """A Publisher that also delivers, between start and stop."""

    async def start(self) -> None:
        """Begins to deliver. Raises BrokerUnavailable when it cannot."""
        ...

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Takes no more, lets deliveries under way end within the grace, and leaves the rest unconfirmed."""
        ...
