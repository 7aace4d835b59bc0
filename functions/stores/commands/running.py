"""Commands of the workers: claims, leases, outcomes, progress, steps."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from contracts.errors import (
    ObservatoryError,
)
from contracts.job import Attempt, Job
from functions.stores.commands.unit import Command, Needs, Unit, each
from functions.stores.job_store import Lease
from functions.stores.moves import Ending, check_lease


@dataclass(slots=True)
class Claim(Command):
    late: ClassVar[bool] = True
    queue: str
    limit: int
    worker: str
    instance: str
    lease_micros: int
    cold_start_seconds: float | None = None
    except_types: Collection[str] = ()

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.claims[self.queue] = needs.claims.get(self.queue, 0) + self.limit
        needs.passed_over.setdefault(self.queue, set()).update(self.except_types)

    def apply(self, unit: Unit) -> list[Job]:
        unit.seen.add((self.queue, self.worker))
        found = [job for job in unit.claimable.get(self.queue, ()) if job.status == "queued"]  # a tick may have ended some
        mine, unit.claimable[self.queue] = found[: self.limit], found[self.limit :]
        for job in mine:
            unit.moves.claim(
                job, worker=self.worker, instance=self.instance, lease_micros=self.lease_micros, cold_start_seconds=self.cold_start_seconds
            )
            unit.touch(job)
        return mine


@dataclass(slots=True)
class EndAttempts(Command):
    endings: Sequence[Ending]

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.ending.update(ending.job_id for ending in self.endings)

    def parts(self) -> list[Command]:
        return [EndAttempts([ending]) for ending in self.endings]

    def apply(self, unit: Unit) -> list[str | ObservatoryError]:
        return each(self.endings, lambda ending: self._one(unit, ending))

    @staticmethod
    def _one(unit: Unit, ending: Ending) -> str:
        job = unit.job(ending.job_id)
        attempt, claimed_at = job.attempt, job.started_at
        outcome = unit.moves.end_attempt(job, ending)
        unit.touch(job)
        unit.attempts.append(
            Attempt(job.id, ending.lease_token, attempt, ending.worker or job.worker or "", ending.instance, claimed_at or unit.now,
                       ending.began_at, unit.now, outcome, ending.error, ending.output)
        )  # fmt: skip
        return outcome


@dataclass(slots=True)
class Renew(Command):
    leases: Sequence[tuple[str, int]]
    lease_micros: int

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.job_ids.update(job_id for job_id, _ in self.leases)

    def parts(self) -> list[Command]:
        return [Renew([lease], self.lease_micros) for lease in self.leases]

    def joined(self, answers: Sequence[Any]) -> list[Lease]:
        """Of those alone that were renewed."""
        return [lease for answer in answers if not isinstance(answer, BaseException) for lease in answer]

    def apply(self, unit: Unit) -> list[Lease]:
        return [self._one(unit, job_id, token) for job_id, token in self.leases]

    def _one(self, unit: Unit, job_id: str, token: int) -> Lease:
        job = unit.jobs.get(job_id)
        if job is None or job.status != "running" or job.lease_token != token:
            return Lease(job_id, token, "lost")
        job.lease_until = unit.now + self.lease_micros
        unit.touch(job)
        if job.worker is not None:
            unit.seen.add((job.queue, job.worker))
        return Lease(job_id, token, "cancelling" if job.cancel_requested_at is not None else "held")


@dataclass(slots=True)
class Release(Command):
    leases: Sequence[tuple[str, int]]
    reason: str

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.ending.update(job_id for job_id, _ in self.leases)

    def parts(self) -> list[Command]:
        return [Release([lease], self.reason) for lease in self.leases]

    def joined(self, answers: Sequence[Any]) -> int:
        return sum(answer for answer in answers if not isinstance(answer, BaseException))

    def apply(self, unit: Unit) -> int:
        done = 0
        for job_id, token in self.leases:
            job = unit.jobs.get(job_id)
            if job is None or job.status != "running" or job.lease_token != token:
                continue
            attempt, claimed_at = job.attempt, job.started_at
            outcome = unit.moves.release(job, token, self.reason)
            unit.touch(job)
            unit.attempts.append(
                Attempt(job_id, token, attempt, job.worker or "", job.worker or "", claimed_at or unit.now,
                           None, unit.now, outcome, None, None)
            )  # fmt: skip
            done += 1
        return done


@dataclass(slots=True)
class Progress(Command):
    job_id: str
    lease_token: int
    progress: dict[str, Any]

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.job_ids.add(self.job_id)

    def apply(self, unit: Unit) -> None:
        job = unit.job(self.job_id)
        unit.moves.progress(job, self.lease_token, self.progress)
        unit.touch(job)


@dataclass(slots=True)
class Effect(Command):
    job_id: str
    lease_token: int
    step: str
    value: Any

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.job_ids.add(self.job_id)
        needs.effects.add((self.job_id, self.step))

    def apply(self, unit: Unit) -> Any:
        check_lease(unit.job(self.job_id), self.lease_token)
        key = (self.job_id, self.step)
        if key not in unit.effects:
            unit.effects[key] = self.value
            unit.new_effects.append((self.job_id, self.step, self.lease_token, self.value))
        return unit.effects[key]
