"""Making dead letters: what an event function does with what it will never be able to handle."""

import hashlib
import logging
from collections.abc import Sequence

from contracts import validation
from contracts.errors import ObservatoryError, Refused
from contracts.event import Event
from contracts.ids import UuidSequence
from contracts.log_fields import about
from functions.stores.job_store import DeadLetter, JobStore

log = logging.getLogger("observatory.dead_letters")
_ids = UuidSequence()
ADDED = frozenset({"knativeerrorcode", "knativeerrordata", "knativeerrordest", "attempts"})  # by the broker, on its dead-letter leg
_ADDED_HEADERS = frozenset(f"ce-{name}" for name in ADDED)
STRUCTURED = "application/cloudevents+json; charset=utf-8"


def letter_of(
    trigger: str, reason: str, headers: dict[str, str], body: bytes, event: Event | None, now: int, attempts: int = 1
) -> DeadLetter:
    """A dead letter; bytes that are no event are known by their SHA-256 (rule 9)."""
    return DeadLetter(
        id=_ids.next(now),
        trigger=trigger,
        source=event.source if event is not None else "unparsed",
        event_id=event.id if event is not None else f"sha256:{hashlib.sha256(body).hexdigest()}",
        event_type=event.type if event is not None else headers.get("ce-type"),
        reason=reason[:2_000],
        attempts=attempts,
        content_type=headers.get("content-type", "application/octet-stream"),
        body=body,
        headers={name: value for name, value in headers.items() if _is_the_senders(name)},
        kept_at=now,
        position=event.position or None if event is not None else None,
    )


def _is_the_senders(header: str) -> bool:
    """Whether a header belongs to the event as it was sent, not to the request that brought it or to what a broker added."""
    return (header.startswith("ce-") and header not in _ADDED_HEADERS) or header == "content-type"


def reason_of(error: ObservatoryError) -> str:
    """One text with every fault."""
    faults = "; ".join(f"{fault.pointer or '/'}: {fault.message}" for fault in error.faults)
    return f"{error.slug}: {error.message}" + (f" ({faults})" if faults else "")


def event_of(letter: DeadLetter) -> Event | None:
    """The event that the kept bytes are, in any mode; None when they are none."""
    from eventing import codec

    headers = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in letter.headers.items()]
    if "content-type" not in letter.headers:
        headers.append((b"content-type", letter.content_type.encode("latin-1", "replace")))
    try:
        events = codec.decode(headers, letter.body)
    except ObservatoryError:
        return None
    return events[0] if len(events) == 1 else None


def note_kept(letter: DeadLetter, event: Event | None) -> None:
    """Tells the log of a letter that is kept."""
    log.warning("an event for %s was put aside: %s", letter.trigger, letter.reason[:200], extra=about("dead_letter.kept", event, trigger=letter.trigger))


def note_spooled(letter: DeadLetter, event: Event | None, error: ObservatoryError) -> None:
    """Tells the log of a letter that waits in the spool."""
    log.warning("an event for %s waits in the spool: %s", letter.trigger, error, extra=about("dead_letter.spooled", event, trigger=letter.trigger))


def note_not_kept(letter: DeadLetter, event: Event | None, error: ObservatoryError) -> None:
    """Tells the log of a letter that cannot be kept now; the broker may forget the event."""
    log.error("an event for %s cannot be put aside: %s", letter.trigger, error, extra=about("dead_letter.not_kept", event, trigger=letter.trigger))


class Consumer:
    """What every function behind the broker shares: it validates what it gets and keeps what it must refuse."""

    hosted = False  # whether another hosts it in its process, and so drains it

    def __init__(self, store: JobStore) -> None:
        self._dead_letters = store

    async def refuse(self, trigger: str, error: ObservatoryError, headers: dict[str, str], body: bytes, event: Event | None) -> None:
        """Keeps the original bytes as a dead letter. Raises StoreUnavailable when that cannot be done now."""
        letter = letter_of(trigger, reason_of(error), headers, body, event, self._dead_letters.now())
        await self._dead_letters.keep_dead_letter(letter)
        note_kept(letter, event)

    async def valid(self, trigger: str, events: Sequence[Event]) -> list[Event]:
        """The events that keep their contract; the others are kept as dead letters, each with its reason."""
        good = []
        for event in events:
            try:
                whole = event.as_logged()
                validation.validate_event(whole)
                good.append(whole)
            except Refused as error:
                await self.refuse(trigger, error, {"content-type": STRUCTURED}, event.canonical(), event)
        return good
