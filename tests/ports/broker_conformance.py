"""One scenario for every broker: Triggers, events, answers, and by hand what must come where and how often.

What is recorded are sets of (trigger, source, id), which do not depend on order or on how deliveries are cut into batches.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from contracts.event import Event
from eventing.triggers import Delivery, Destination, Trigger

SOURCE, OTHER_SOURCE = "urn:observatory:conformance", "urn:observatory:conformance/other"
QUEUED, ENDED, REFUSED = "dev.observatory.job.queued.v1", "dev.observatory.job.succeeded.v1", "dev.observatory.contract.refused.v1"


def _trigger(name: str, *, sink: str = "dead-letter", retry: int = 2, **attributes: str) -> Trigger:
    delivery = Delivery(retry=retry, backoff_delay_seconds=0.005, dead_letter=Destination(sink, f"/triggers/{name}"))
    return Trigger(name, Destination("worker", f"/triggers/{name}"), attributes, delivery)


TRIGGERS = [
    _trigger("everything"),
    _trigger("queue-io", type=QUEUED, queue="io"),
    _trigger("queue-bulk", type=QUEUED, queue="bulk"),
    _trigger("ended", type=ENDED),
    _trigger("one-source", source=OTHER_SOURCE),
    _trigger("nothing", type="dev.observatory.nothing.v1"),
    _trigger("sink-absent", type=REFUSED, sink="nobody", retry=0),
]

# position: (id, type, further attributes)
_EVENTS: dict[int, tuple[str, str, dict[str, str]]] = {
    1: ("a", QUEUED, {"queue": "io"}),
    2: ("b", QUEUED, {"queue": "bulk"}),
    3: ("c", QUEUED, {"queue": "IO"}),  # values match exactly
    4: ("d", QUEUED, {}),  # no value is no match
    5: ("e", ENDED, {"queue": "io"}),
    6: ("f", ENDED + "x", {"queue": "io"}),
    7: ("g", ENDED, {"subject": "io"}),
    8: ("a", QUEUED, {"queue": "io", "source": OTHER_SOURCE}),  # the same id of another source is another event
    9: ("h", REFUSED, {}),
    10: ("i", REFUSED, {}),
    11: ("j", QUEUED, {"queue": "bulk"}),
    12: ("k", QUEUED, {"queue": "bulk"}),
    13: ("l", QUEUED, {"queue": "io"}),
    14: ("m", ENDED, {}),
    15: ("n", ENDED, {}),
}

# (trigger, id): the answers to its first deliveries; then 200
ANSWERS = {
    ("queue-bulk", "b"): [503],  # passes at the second try
    ("queue-bulk", "j"): [422],  # counts as delivered
    ("queue-bulk", "k"): [500, 404, 429],  # never passes: a dead letter
    ("queue-io", "l"): [409, 408],  # passes at the last try
    ("ended", "m"): [302],  # counts as delivered
    ("ended", "n"): [503, 503, 503],
    ("everything", "n"): [400],
    ("everything", "e"): [501, 599, 502],
    ("sink-absent", "i"): [500],  # its dead letter waits for a sink that never comes
}
SINK_ANSWERS = {("ended", "n"): [503, 400], ("everything", "e"): [500]}  # a sink is asked until it says 2xx

DELIVERIES = {
    "everything": {"a": 1, "b": 1, "c": 1, "d": 1, "e": 3, "f": 1, "g": 1, "h": 1, "i": 1, "j": 1, "k": 1, "l": 1, "m": 1, "n": 1, "a'": 1},
    "queue-io": {"a": 1, "a'": 1, "l": 3},
    "queue-bulk": {"b": 2, "j": 1, "k": 3},
    "ended": {"e": 1, "g": 1, "m": 1, "n": 3},
    "one-source": {"a'": 1},
    "sink-absent": {"h": 1, "i": 1},
}
DEAD_LETTERS = {("queue-bulk", SOURCE, "k"), ("ended", SOURCE, "n"), ("everything", SOURCE, "e")}


def _key(trigger: str, name: str) -> tuple[str, str, str]:
    return trigger, OTHER_SOURCE if name.endswith("'") else SOURCE, name.rstrip("'")


COUNTS = {_key(trigger, name): count for trigger, names in DELIVERIES.items() for name, count in names.items()}


def events() -> list[Event]:
    """In the order of their positions."""
    return [_event(position, *parts) for position, parts in _EVENTS.items()]


def _event(position: int, name: str, kind: str, attributes: dict[str, str]) -> Event:
    document: dict[str, Any] = {"specversion": "1.0", "id": name, "source": SOURCE, "type": kind, "datacontenttype": "application/json"}
    return Event({**document, "position": str(position), "data": {"number": position}, **attributes})


def counts(got: Iterable[tuple[str, Event]]) -> dict[tuple[str, str, str], int]:
    """(trigger, source, id) -> how often it came."""
    return dict(Counter((trigger, event.source, event.id) for trigger, event in got))
