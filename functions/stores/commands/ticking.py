"""The command of time: what is due is released, what is lost is rescued, what expired is cancelled."""

from dataclasses import dataclass
from typing import ClassVar

from contracts.event_types import CONTRACT_REFUSED
from contracts.job import Attempt, Job
from contracts.times import to_rfc3339
from functions.stores.commands.unit import MINUTE, Command, Needs, Unit
from functions.stores.job_store import Tick


@dataclass(slots=True)
class TickCommand(Command):
    late: ClassVar[bool] = True
    limit: int
    rescue_all: bool = False

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.tick = max(needs.tick, self.limit)
        needs.rescue_all |= self.rescue_all

    def apply(self, unit: Unit) -> Tick:
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
        more = max(len(due), len(lost), len(expired)) >= self.limit
        return Tick(len(due), len(lost), len(expired), unit.next_due_at, more)

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
