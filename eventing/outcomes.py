"""What an answer to a delivery means, and what a dead letter carries: one set of rules for every broker.

The rules are the RabbitMQ Broker's (Knative `SelectiveRetry`): an event that is answered with most 4xx or a 3xx counts
as delivered there, so it does here.
"""

import base64
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from contracts.event import Event

if TYPE_CHECKING:
    from eventing.triggers import Trigger  # reads YAML, which a cold start has no use for

NO_ANSWER = -1  # Knative's code for a connection that failed
ERROR_DATA_CHARACTERS = 1024
_TRIED_AGAIN = frozenset({NO_ANSWER, 404, 408, 409, 429})


class Outcome(Enum):
    """`TAKEN`: done. `DROPPED`: counts as delivered although the subscriber refused it. `AGAIN`: to be tried again."""

    TAKEN = "taken"
    DROPPED = "dropped"
    AGAIN = "again"


def outcome_of(status: int) -> Outcome:
    """The meaning of an HTTP status."""
    if 200 <= status <= 299:
        return Outcome.TAKEN
    return Outcome.AGAIN if status >= 500 or status in _TRIED_AGAIN else Outcome.DROPPED


def dead_letter(event: Event, trigger: "Trigger", status: int, answer: bytes, attempts: int) -> Event:
    """The event as its deadLetterSink gets it: with Knative's error extensions, and the number of deliveries tried.

    `knativeerrordata` holds the beginning of the answer in Base64, 1,024 characters at most, as Knative writes it.
    """
    reason = {"knativeerrorcode": str(status), "knativeerrordest": trigger.subscriber.address, "attempts": str(attempts)}
    if answer:
        reason["knativeerrordata"] = base64.b64encode(answer[: ERROR_DATA_CHARACTERS // 4 * 3]).decode("ascii")
    return replace(event, document={**event.document, **reason}, checked=False)
