"""Dead letter: keeps what no function could handle, as it came, with the Trigger and the reason."""

import asyncio
from collections.abc import Sequence

from contracts.errors import ObservatoryError, Passing
from contracts.event import Event
from functions.runtime.dead_letters import STRUCTURED, Consumer, letter_of
from functions.stores.job_store import DeadLetter, JobStore

TRIES = 3
ADDED = frozenset({"knativeerrorcode", "knativeerrordata", "knativeerrordest", "attempts"})  # by the broker, on this leg


class DeadLetterKeeper(Consumer):
    """The Broker acknowledges this leg even when it fails, so a store that is away is tried again within the request."""

    def __init__(self, store: JobStore, *, pause_seconds: float = 0.5) -> None:
        super().__init__(store)
        self._store, self._pause_seconds = store, pause_seconds

    async def ready(self) -> None:
        await self._store.ping()

    async def drain(self) -> None:
        return None

    async def handle(self, trigger: str, events: Sequence[Event]) -> Sequence[int]:
        """Events handed over in process: kept in the structured mode, without what the broker added."""
        return [await self._keep(self._letter(trigger, event)) for event in events]

    async def keep_received(self, trigger: str, headers: dict[str, str], body: bytes, events: Sequence[Event]) -> int:
        """A request as it came: its body byte for byte, and the headers that an event in binary mode needs."""
        letters = [letter_of(trigger, _reason(event), headers, body, event, self._store.now(), _attempts(event)) for event in events]
        return max([await self._keep(letter) for letter in letters], default=200)

    def _letter(self, trigger: str, event: Event) -> DeadLetter:
        original = Event({name: value for name, value in event.document.items() if name not in ADDED})
        headers = {"content-type": STRUCTURED}
        return letter_of(trigger, _reason(event), headers, original.canonical(), event, self._store.now(), _attempts(event))

    async def _keep(self, letter: DeadLetter) -> int:
        for last in range(TRIES):
            try:
                await self._store.keep_dead_letter(letter)
                return 200
            except Passing:
                if last < TRIES - 1:
                    await asyncio.sleep(self._pause_seconds)
            except ObservatoryError:
                return 503
        return 503


def _reason(event: Event) -> str:
    code = event.attribute("knativeerrorcode")
    place = event.attribute("knativeerrordest")
    data = event.attribute("knativeerrordata")
    if code is None and data is None:
        return "sent here without a reason"
    return f"the subscriber answered {code}" + (f" at {place}" if place else "") + (f": {data}" if data else "")


def _attempts(event: Event) -> int:
    text = event.attribute("attempts") or "1"
    return int(text) if text.isdigit() else 1
