"""Commands that people give: cancel, retry."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.errors import (
    ObservatoryError,
    UniqueKeyTaken,
)
from contracts.job import Job, JobStatus
from functions.stores.commands.unit import Command, Needs, Unit, each


@dataclass(slots=True)
class CancelJobs(Command):
    job_ids: Sequence[str]
    actor: str
    reason: str | None

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.ending.update(self.job_ids)

    def parts(self) -> list[Command]:
        return [CancelJobs([job_id], self.actor, self.reason) for job_id in self.job_ids]

    def apply(self, unit: Unit) -> list[Job | ObservatoryError]:
        return each(self.job_ids, lambda job_id: self._one(unit, job_id))

    def _one(self, unit: Unit, job_id: str) -> Job:
        job = unit.job(job_id)
        if job.status == "cancelled":
            return job  # asking twice is no fault
        unit.moves.cancel(job, self.actor, self.reason)
        unit.touch(job)
        return job


@dataclass(slots=True)
class Reopen(Command):
    job_ids: Sequence[str]
    actor: str
    reason: str | None

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.job_ids.update(self.job_ids)

    def parts(self) -> list[Command]:
        return [Reopen([job_id], self.actor, self.reason) for job_id in self.job_ids]

    def apply(self, unit: Unit) -> list[Job | ObservatoryError]:
        unit.settle()  # what ended in this transaction has ended for its children, whatever becomes of it now
        return each(self.job_ids, lambda job_id: self._one(unit, job_id))

    def _one(self, unit: Unit, job_id: str) -> Job:
        job = unit.job(job_id)
        if job.unique_key is not None:
            holder = unit.uniques.get((job.type, job.unique_key))
            if holder is not None and holder.id != job_id and not JobStatus(holder.status).is_terminal:
                raise UniqueKeyTaken(f"job {holder.id} holds the unique_key {job.unique_key!r} of job {job_id} now")
        unit.moves.reopen(job, self.actor, self.reason)
        unit.touch(job)
        if job.unique_key is not None:
            unit.uniques[job.type, job.unique_key] = job
        return job
