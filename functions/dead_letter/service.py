"""Dead letter: keeps what no function could handle, as it came, with the Trigger and the reason."""

import asyncio
import base64
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from contracts import validation
from contracts.errors import BrokerUnavailable, Conflict, ContractViolation, Fault, ObservatoryError, Passing, StoreUnavailable
from contracts.event import Event
from contracts.times import from_rfc3339
from eventing.outcomes import NO_ANSWER
from functions.runtime.dead_letters import ADDED, STRUCTURED, event_of, letter_of, note_kept, note_not_kept, note_spooled, reason_of
from functions.runtime.holding import holding
from functions.stores.job_store import DeadLetter, JobStore

if TYPE_CHECKING:
    from functions.dead_letter.carrier import Carrier

TRIES = 3
TRY_SECONDS = 5.0  # before a letter is spooled; whoever sent it waits longer


Deliver = Callable[[str, Event], Awaitable[tuple[int, str]]]
"""Sends an event to one Trigger's subscriber alone; its status and what it said."""


class DeadLetterKeeper:
    """The Broker acknowledges this leg even when it fails, so a store that is away is tried again within the request.

    With a `carrier`, which opens the store, letters are spooled then, and this function is ready as long as there is room for them.
    """

    hosted = False
    figures: Callable[[], Awaitable[bytes]] | None = None  # the system's, as Prometheus text: on a cluster this function alone never sleeps

    def __init__(
        self, store: JobStore | None, *, pause_seconds: float = 0.5, deliver: Deliver | None = None, carrier: "Carrier | None" = None
    ) -> None:
        self._opened, self._carrier, self._pause_seconds = store, carrier, pause_seconds
        self.deliver = deliver

    @property
    def _store(self) -> JobStore:
        store = self._carrier.store if self._carrier is not None else self._opened
        if store is None:
            raise StoreUnavailable("the job store has not answered since this instance started")
        return store

    def _now(self) -> int:
        return self._carrier.now() if self._carrier is not None else self._store.now()

    async def ready(self) -> None:
        if self._carrier is None:
            await self._store.ping()
        else:
            self._carrier.spool.check_room()

    async def drain(self) -> None:
        if self._carrier is not None:
            await self._carrier.stop()

    async def handle(self, trigger: str, events: Sequence[Event]) -> Sequence[int]:
        """Events handed over in process: kept in the structured mode, without what the broker added."""
        return [await self._keep(self._letter(trigger, event), event) for event in events]

    async def keep_received(self, trigger: str, headers: dict[str, str], body: bytes, events: Sequence[Event]) -> int:
        """A request as it came: its body byte for byte, and the headers that an event in binary mode needs."""
        letters = [letter_of(trigger, _reason(event), headers, body, event, self._now(), _attempts(event)) for event in events]
        return max([await self._keep(letter, event) for letter, event in zip(letters, events, strict=True)], default=200)

    async def refuse(self, trigger: str, error: ObservatoryError, headers: dict[str, str], body: bytes, event: Event | None) -> None:
        """Keeps what is no event. Raises StoreUnavailable when that cannot be done now."""
        if await self._keep(letter_of(trigger, reason_of(error), headers, body, event, self._now()), event) != 200:
            raise StoreUnavailable

    # ---- a person's wishes ------------------------------------------------------------------------------------

    async def replay(
        self, letter_id: str, actor: str, reason: str | None, edited: Any = None, *, operation: str | None = None, since: int | None = None
    ) -> DeadLetter:
        """Sends a letter to its Trigger's subscriber alone, after a check against today's contract; of several who ask at once,
        one does. A kill between delivery and record lets the next one deliver it again.

        `edited` is a whole event to send in its place: a new one, whose cause is the old one; `operation` names the bulk
        operation that asks, and `since` when (None: now). Raises NotFound, Conflict for a letter that was discarded, is being
        replayed, or was delivered since, and ContractViolation for what the subscriber would have to refuse again.
        """
        asked = self._store.now() if since is None else since
        await self._store.dead_letter(letter_id)
        async with holding(self._store, f"deadletter/{letter_id}", operation) as hold:
            if hold is None:
                raise Conflict(f"dead letter {letter_id} is being replayed by somebody else; look in a moment what came of it")
            return await self._replay(await self._store.dead_letter(letter_id), asked, actor, reason, edited, operation)

    async def _replay(self, letter: DeadLetter, asked: int, actor: str, reason: str | None, edited: Any, operation: str | None) -> DeadLetter:
        """While the letter is held."""
        if letter.status == "discarded":
            raise Conflict(f"dead letter {letter.id} was discarded, so it is not replayed")
        if letter.status == "replayed" and await self._delivered_since(letter, asked):
            raise Conflict(f"dead letter {letter.id} was replayed by somebody else meanwhile")
        event = self._edited(letter, edited) if edited is not None else event_of(letter)
        if event is None:
            raise ContractViolation("what was kept is no event; replay an edited one, or discard it", faults=[Fault("", "no CloudEvent")])
        event = event.as_logged()
        validation.validate_event(event)
        if self.deliver is None:
            raise BrokerUnavailable("this instance reaches no subscribers; replay from the running system")
        status, said = await self.deliver(letter.trigger, event)
        refused = await self._refused_again(letter, event)
        data = self._about(letter, operation) | {
            "reason": reason, "edited": edited is not None, "replayed_id": event.id, "status": None if status == NO_ANSWER else status,
            "detail": (refused or said)[:1_000] or None, "outcome": "delivered" if 200 <= status < 300 and refused is None else "failed",
        }  # fmt: skip
        await self._store.tell_of_dead_letter(letter.id, "replayed", data, actor)
        return await self._store.dead_letter(letter.id)

    async def _delivered_since(self, letter: DeadLetter, asked: int) -> bool:
        told = await self._store.events_of(f"deadletter/{letter.id}")
        return any(event.data.get("outcome") == "delivered" and from_rfc3339(event.document["time"]) > asked for event in told)

    async def discard(self, letter_id: str, actor: str, reason: str, *, operation: str | None = None) -> DeadLetter:
        """Puts a letter aside for good. Raises NotFound; asking twice changes nothing."""
        letter = await self._store.dead_letter(letter_id)
        if letter.status != "discarded":
            await self._store.tell_of_dead_letter(letter_id, "discarded", self._about(letter, operation) | {"reason": reason}, actor)
        return await self._store.dead_letter(letter_id)

    async def _refused_again(self, letter: DeadLetter, event: Event) -> str | None:
        """Why the subscriber kept the event as a dead letter once more: a 2xx of its own says only that it did."""
        kept = await self._store.dead_letter_of(letter.trigger, event.source, event.id)
        if kept is None or (kept.id == letter.id and kept.attempts == letter.attempts):
            return None
        return kept.reason

    @staticmethod
    def _about(letter: DeadLetter, operation: str | None) -> dict[str, Any]:
        told = {"id": letter.id, "trigger": letter.trigger, "event_source": letter.source, "event_id": letter.event_id, "event_type": letter.event_type}
        return told if operation is None else told | {"operation": operation}

    def _edited(self, letter: DeadLetter, document: Any) -> Event:
        if not isinstance(document, dict):
            raise ContractViolation(faults=[Fault("/event", "a whole CloudEvent in JSON format")])
        same = document.get("source") == letter.source and document.get("id") == letter.event_id
        changes = {"id": f"{letter.event_id}/edited-{self._store.now()}"} if same else {}
        return Event({**document, **changes, "causation": letter.event_id})

    def _letter(self, trigger: str, event: Event) -> DeadLetter:
        original = Event({name: value for name, value in event.document.items() if name not in ADDED})
        headers = {"content-type": STRUCTURED}
        return letter_of(trigger, _reason(event), headers, original.canonical(), event, self._now(), _attempts(event))

    async def _keep(self, letter: DeadLetter, event: Event | None) -> int:
        try:
            await self._store_it(letter)
        except ObservatoryError as error:
            return await self._spool_it(letter, event, error)
        note_kept(letter, event)
        return 200

    async def _store_it(self, letter: DeadLetter) -> None:
        """Raises what stands against it at the end of the time that a request has for it."""
        if self._carrier is not None and self._carrier.is_away:
            raise StoreUnavailable
        try:
            async with asyncio.timeout(None if self._carrier is None else TRY_SECONDS):
                for _ in range(TRIES - 1):
                    with contextlib.suppress(Passing):
                        return await self._store.keep_dead_letter(letter)
                    await asyncio.sleep(self._pause_seconds)
                await self._store.keep_dead_letter(letter)
        except TimeoutError:
            raise StoreUnavailable from None

    async def _spool_it(self, letter: DeadLetter, event: Event | None, error: ObservatoryError) -> int:
        if self._carrier is not None:
            try:
                await self._carrier.take(letter)
            except StoreUnavailable as full:
                error = full
            else:
                note_spooled(letter, event, error)
                return 200
        note_not_kept(letter, event, error)
        return 503


def _reason(event: Event) -> str:
    """What the broker says of the failed delivery, for people."""
    code, place, data = (event.attribute(f"knativeerror{part}") for part in ("code", "dest", "data"))
    if code is None and data is None:
        return "sent here without a reason"
    answered = "gave no answer" if code == str(NO_ANSWER) else f"answered {code}"
    return f"the subscriber {answered}" + (f" at {_place(place)}" if place else "") + (f": {_text_of(data)}" if data else "")


def _place(url: str) -> str:
    """A subscriber's address as it may be told: of a webhook the path is left out, for many take it as their secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is none"
    return url if parts.path.startswith("/triggers/") and not parts.query else f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/..."


def _text_of(data: str) -> str:
    """`knativeerrordata` is the beginning of the answer, in Base64 by Knative's own brokers; other texts stay as they are."""
    try:
        return base64.b64decode(data, validate=True).decode("utf-8").strip()
    except ValueError:
        return data


def _attempts(event: Event) -> int:
    text = event.attribute("attempts") or "1"
    return int(text) if text.isdigit() else 1
