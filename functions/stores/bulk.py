"""A bulk operation: one wish for everything that a query found when it began: jobs, or dead letters."""

from dataclasses import dataclass, field
from typing import Any

from contracts.times import to_rfc3339

MOVES = ("cancel", "retry")  # done by the store itself
LETTER_ACTIONS = ("replay", "discard")
ACTIONS = (*MOVES, "rerun", *LETTER_ACTIONS)
SAMPLES = 10
STEP = 200


@dataclass(slots=True)
class BulkState:
    """How far it has come: `done` of all, the last of them at `moved_at`; `outcomes` counts them by what became of each
    (`done`, or why not)."""

    done: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    samples: list[dict[str, str]] = field(default_factory=list)
    finished_at: int | None = None
    moved_at: int = 0

    def count(self, item: str, outcome: str, detail: str = "") -> None:
        self.done += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        if outcome != "done" and len(self.samples) < SAMPLES:
            self.samples.append({"id": item, "outcome": outcome, "detail": detail[:300]})


@dataclass(frozen=True, slots=True)
class BulkOperation:
    """`matched` jobs or dead letters were found for `query` at `created_at`; their ids are the store's to keep."""

    id: str
    action: str
    query: str
    actor: str
    reason: str | None
    created_at: int
    matched: int
    state: BulkState

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "url": f"/v1/bulk/{self.id}",
            "action": self.action,
            "q": self.query,
            "actor": self.actor,
            "reason": self.reason,
            "created_at": to_rfc3339(self.created_at),
            "finished_at": None if self.state.finished_at is None else to_rfc3339(self.state.finished_at),
            "status": "running" if self.state.finished_at is None else "finished",
            "matched": self.matched,
            "done": self.state.done,
            "outcomes": self.state.outcomes,
            "samples": self.state.samples,
        }
