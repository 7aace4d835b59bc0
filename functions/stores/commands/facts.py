"""Commands that tell a fact of a stream that is no job's, and what the fact makes of its row; the adapter changes that in the same transaction."""

from dataclasses import dataclass
from typing import Any

from contracts.event_types import PREFIX, full_name
from functions.stores.commands.unit import Command, Needs, Unit

QUEUE_EVENTS = f"{PREFIX}queue."
DEAD_LETTER_EVENTS = f"{PREFIX}deadletter."


@dataclass(slots=True)
class QueueEvent(Command):
    """Tells a fact of a queue's stream; the adapter writes the row beside it."""

    queue: str
    participle: str  # configured | paused | resumed
    data: dict[str, Any]
    actor: str

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.streams.add(f"queue/{self.queue}")

    def apply(self, unit: Unit) -> None:
        if self.participle != "configured":
            paused = self.participle == "paused"
            if unit.paused.get(self.queue) is paused:
                return  # somebody was faster
            unit.paused[self.queue] = paused
        unit.tell(f"queue/{self.queue}", full_name(f"queue.{self.participle}"), self.data, self.actor)


@dataclass(slots=True)
class DeadLetterEvent(Command):
    """Tells what became of a dead letter; the adapter changes its row in the same transaction."""

    letter_id: str
    participle: str  # replayed | discarded
    data: dict[str, Any]
    actor: str

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.streams.add(f"deadletter/{self.letter_id}")

    def apply(self, unit: Unit) -> None:
        unit.tell(f"deadletter/{self.letter_id}", full_name(f"deadletter.{self.participle}"), self.data, self.actor)


def letter_after(document: dict[str, Any]) -> tuple[str, str]:
    """Status and outcome of a dead letter after an event of its stream: delivered it is `replayed`, failed again it stays `kept` with what
    was said."""
    data = document["data"]
    if document["type"] == f"{DEAD_LETTER_EVENTS}discarded.v1":
        return "discarded", data["reason"]
    status = "replayed" if data["outcome"] == "delivered" else "kept"
    return status, f"{data['outcome']} ({data['status'] or 'no answer'}){': ' + data['detail'] if data['detail'] else ''}"
