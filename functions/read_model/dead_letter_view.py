"""A dead letter as a person may see it: the event redacted, other bytes as text."""

from typing import Any

from contracts import validation
from contracts.errors import Refused
from contracts.event import Event
from functions.runtime.dead_letters import event_of, reason_of
from functions.runtime.redaction import Redactor
from functions.stores.job_store import DeadLetter

SHOWN_BYTES = 65_536
HIDDEN = "some task has secrets, and which part of this is one cannot be told, so it is not shown"


def check(event: Event | None) -> str:
    """What today's contract says of the event: `ok`, or its faults in words."""
    if event is None:
        return "what was kept is no CloudEvent"
    try:
        validation.validate_event(event.as_logged())
    except Refused as error:
        return reason_of(error)
    return "ok"


async def shown(letter: DeadLetter, redactor: Redactor) -> dict[str, Any]:
    """The letter with `headers`, and `event` or, when its bytes are none, `text` (at most 64 KiB).

    What may hold a secret is left out, and `hidden` says why.
    """
    event = event_of(letter)
    redacted = await redactor.events([event] if event is not None else [])  # and it has asked for what it did not know
    document = letter.as_json() | {"headers": letter.headers, "check": check(event), "event": None, "text": None, "hidden": None}
    if event is not None and (not redactor.hides or redactor.understands(event)):
        return document | {"event": redacted[0].document}
    if redactor.hides:
        return document | {"event": None if event is None else event.attributes(), "hidden": HIDDEN}
    return document | {"text": letter.body[:SHOWN_BYTES].decode("utf-8", "replace")}
