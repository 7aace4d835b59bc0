"""Port: where committed events go to be delivered."""

from collections.abc import Callable, Sequence
from typing import Protocol

from contracts.event import Event


class Publisher(Protocol):
    """Takes events in the order of the feed and delivers each at least once to every Trigger that matches it."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Hands over events, each with its `position`, in feed order; returns once the broker has taken them.

        A position published before is a doorbell rung again: it is delivered again and changes nothing in `confirmed`.
        Raises BrokerUnavailable when none of them was taken; publishing the same events again is always safe.
        """
        ...

    @property
    def confirmed(self) -> int:
        """The highest position p such that every event published up to p is safe from a crash of this process.

        0 before the first confirmation. It only grows.
        """
        ...

    @property
    def room(self) -> int:
        """How many more events may be published now without growing over the publisher's bound; never below 0."""
        ...

    def on_confirmed(self, callback: Callable[[], None]) -> None:
        """Calls back, in the event loop, whenever `confirmed` has grown or room has come back."""
        ...
