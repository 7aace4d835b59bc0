"""The command of time: what is due is released, what is lost is rescued, what expired is cancelled."""

from dataclasses import dataclass, field
from typing import ClassVar

from contracts.event_types import CONTRACT_REFUSED
from contracts.job import Attempt, Job
from contracts.times import to_rfc3339
from functions.stores.commands import firing
from functions.stores.commands.firing import Firing
from functions.stores.commands.unit import MINUTE, Command, Needs, Unit
from functions.stores.job_store import Resolve, Tick


@dataclass(slots=True)
class TickCommand(Command):
    late: ClassVar[bool] = True
    limit: int
    rescue_all: bool = False
    resolve: Resolve | None = None
    firings: list[Firing] = field(default_factory=list)
    firings_left: bool = False

    def needs(self, needs: Needs, unit: Unit) -> None:
        self.firings, self.firings_left = [], False  # a transaction that is tried again begins anew
        needs.tick = max(needs.tick, self.limit)
        needs.rescue_all |= self.rescue_all
        if self.resolve is not None:
            needs.due_schedules = max(needs.due_schedules, self.limit)

    def plan(self, needs: Needs, unit: Unit) -> None:
        if self.resolve is None:
            return
        names, unit.due_schedules = unit.due_schedules, []  # those of a second tick in this transaction
        planned = 0
        for number, name in enumerate(names, 1):
            self.firings.append(firing.plan(unit.schedules[name], needs, unit, self.resolve))
            planned += max(len(self.firings[-1].job_ids), 1)
            if planned >= self.limit:
                self.firings_left = number < len(names) or number >= self.limit
                break

    def apply(self, unit: Unit) -> Tick:
        fired = [firing.fire(unit, each) for each in self.firings]
        due, unit.due = unit.due, []
        lost, unit.lost = unit.lost, []
        expired, unit.expired = [job for job in unit.expired if job.lease_token == 0], []  # a claim may have come before
        for job in expired:
            unit.moves.expire(job)
            unit.touch(job)
        for job in due:
            if job.status in ("scheduled", "retrying"):
                unit.moves.release_due(job)
                unit.touch(job)
        for job in lost:
            self._rescue(unit, job)
        self._tell_refusals(unit)
        more = self.firings_left or max(len(due), len(lost), len(expired)) >= self.limit
        fired_jobs, skipped = (sum(counts) for counts in zip(*fired, strict=True)) if fired else (0, 0)
        return Tick(len(due), len(lost), len(expired), self._next_due_at(unit), more, fired_jobs, skipped, unit.held_up)

    def _next_due_at(self, unit: Unit) -> int | None:
        """The next instant with work, the firings that follow this tick's included."""
        later = [each.next_at for each in self.firings]
        return min((at for at in (unit.next_due_at, unit.next_firing_at, *later) if at is not None), default=None)

    @staticmethod
    def _rescue(unit: Unit, job: Job) -> None:
        attempt, claimed_at, worker = job.attempt, job.started_at, job.worker or ""
        outcome = unit.moves.rescue(job)
        unit.touch(job)
        unit.attempts.append(
            Attempt(job.id, job.lease_token, attempt, worker, worker, claimed_at or unit.now, None, unit.now, outcome, job.error, None)
        )

    @staticmethod
    def _tell_refusals(unit: Unit) -> None:
        untold, unit.untold_refusals = unit.untold_refusals, []
        for minute, subject_type, reason, count in untold:
            data = {"subject_type": subject_type, "reason": reason, "count": count, "minute": to_rfc3339(minute * MINUTE)}
            unit.tell(f"contract/{subject_type}", CONTRACT_REFUSED, data, "function:scheduler")
