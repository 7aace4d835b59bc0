"""The command of a bulk operation's step: what it does and how far the operation has come, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.errors import ObservatoryError
from functions.stores.bulk import MOVES, BulkState
from functions.stores.commands.unit import Command, Needs, Unit
from functions.stores.commands.wishes import CancelJobs, Reopen


@dataclass(slots=True)
class BulkStep(Command):
    """Does the next ones from place `at` on, if nobody was faster; of what is no move of a job, and so was done before,
    `outcomes` tells what became of it. Returns the operation's state, None when there is no such operation."""

    operation: str
    action: str
    at: int
    of: int
    job_ids: Sequence[str]
    actor: str
    reason: str | None
    outcomes: Sequence[tuple[str, str]] = ()

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.operations.add(self.operation)
        if self.action in MOVES:
            needs.ending.update(self.job_ids)

    def apply(self, unit: Unit) -> BulkState | None:
        state = unit.operations.get(self.operation)
        if state is None or state.done != self.at or state.finished_at is not None:
            return state
        for job_id, (outcome, detail) in zip(self.job_ids, self._done(unit), strict=True):
            state.count(job_id, outcome, detail)
        state.moved_at = unit.now
        if state.done >= self.of:
            state.finished_at = unit.now
        unit.dirty_operations.add(self.operation)
        return state

    def _done(self, unit: Unit) -> list[tuple[str, str]]:
        if self.action not in MOVES:
            return list(self.outcomes)
        wish = CancelJobs if self.action == "cancel" else Reopen
        answers = wish(self.job_ids, self.actor, self.reason).apply(unit)
        return [(answer.slug, answer.message) if isinstance(answer, ObservatoryError) else ("done", "") for answer in answers]
