"""The queues as `queues.yaml` declares them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventing.yaml_documents import Place, read_documents

QUEUES_FILE = Path(__file__).parent / "queues.yaml"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_FIELDS = ("name", "description", "max_running", "rate_per_second", "paused")


@dataclass(frozen=True, slots=True)
class QueueDeclaration:
    """A queue: at most `max_running` of its jobs run at once and `rate_per_second` start a second (None: no limit)."""

    name: str
    description: str = ""
    max_running: int | None = None
    rate_per_second: float | None = None
    paused: bool = False

    @property
    def trigger(self) -> str:
        """The name of the Trigger that rings for this queue."""
        return f"processor-{self.name}"

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}


def load_queues(path: Path = QUEUES_FILE) -> dict[str, QueueDeclaration]:
    """The declared queues by name, in the file's order. Raises ConfigurationError that names file, key and what is allowed."""
    documents = read_documents(path)
    if len(documents) > 1:
        raise Place(None, path).wrong(f"is one of {len(documents)}; the file takes one")
    root = Place(documents[0] if documents else None, path)
    queues: dict[str, QueueDeclaration] = {}
    for place in root.fields(("queues",), ("queues",))["queues"].items():
        queue = _queue(place)
        if queue.name in queues:
            raise place.wrong(f"declares the queue {queue.name!r} a second time")
        queues[queue.name] = queue
    if "default" not in queues:
        raise root.wrong("declares no queue named 'default'; jobs that name no queue wait there")
    return queues


def _queue(place: Place) -> QueueDeclaration:
    fields = place.fields(_FIELDS, ("name",))
    name = fields["name"]
    if not _NAME.fullmatch(name.text()):
        raise name.wrong(f"is {name.value!r}; it takes 1 to 40 of a-z, 0-9 and inner hyphens")
    return QueueDeclaration(
        name=name.text(),
        description=fields["description"].text() if "description" in fields else "",
        max_running=fields["max_running"].integer(1, 1_000_000) if "max_running" in fields else None,
        rate_per_second=_rate(fields["rate_per_second"]) if "rate_per_second" in fields else None,
        paused=fields["paused"].boolean() if "paused" in fields else False,
    )


def _rate(place: Place) -> float:
    value = place.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1_000_000:
        raise place.wrong(f"is {value!r}; it takes a number above 0, at most 1000000, or null for no limit")
    return float(value)
