"""Commands about schedules: put, declare in code, delete, pause and resume, run now."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

from contracts import event_types as types
from contracts.errors import Conflict, ContractViolation, ObservatoryError, Refused, ScheduleNotFound
from contracts.job import JobRequest
from contracts.schedule import CODE, Schedule, ScheduleSpec, declaration
from contracts.times import optional_rfc3339
from functions.stores.commands.firing import ask_for, submit, tell
from functions.stores.commands.submissions import holder_of_unique_key, known_job
from functions.stores.commands.unit import Command, Needs, Unit
from functions.stores.job_store import Declared, Resolve, Submitted
from functions.stores.moves import SCHEDULER


@dataclass(slots=True)
class _OfOne(Command):
    """A command about one schedule."""

    name: str

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.schedules.add(self.name)
        needs.streams.add(f"schedule/{self.name}")

    def found(self, unit: Unit) -> Schedule:
        if self.name not in unit.schedules:
            raise ScheduleNotFound(f"there is no schedule {self.name!r}")
        return unit.schedules[self.name]


@dataclass(slots=True)
class PutSchedule(_OfOne):
    """A person's wish: makes the schedule, changes it, or finds it as it is wished."""

    spec: ScheduleSpec
    actor: str

    def apply(self, unit: Unit) -> tuple[Schedule, str]:
        known = unit.schedules.get(self.name)
        if known is not None and known.declared_by == CODE:
            raise Conflict(f"schedule {self.name!r} is declared in code, which keeps it as it is: change it there, or pause it here")
        return _put(unit, self.name, self.spec, self.actor)


def _put(unit: Unit, name: str, spec: ScheduleSpec, actor: str) -> tuple[Schedule, str]:
    """The schedule as it is now, and `created`, `updated` or `unchanged`."""
    known = unit.schedules.get(name)
    if known is not None and known.is_as(spec) and (known.paused or known.next_at is not None):
        return known, "unchanged"
    kind = types.SCHEDULE_CREATED if known is None else types.SCHEDULE_UPDATED
    changed = tell(unit, name, kind, declaration(spec, known, name, unit.now), actor)
    assert changed is not None
    return changed, "created" if known is None else "updated"


@dataclass(slots=True)
class DeclareSchedules(Command):
    """Takes over what code declares: makes what is new, changes what differs, deletes what is declared no more.

    A schedule of that name that a person made stays a person's.
    """

    specs: dict[str, ScheduleSpec]

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.all_schedules = True
        needs.streams.update(f"schedule/{name}" for name in self.specs)

    def plan(self, needs: Needs, unit: Unit) -> None:
        needs.streams.update(schedule.stream for schedule in unit.schedules.values() if schedule.declared_by == CODE)

    def apply(self, unit: Unit) -> Declared:
        declared = Declared()
        for schedule in list(unit.schedules.values()):
            if schedule.declared_by == CODE and schedule.name not in self.specs:
                tell(unit, schedule.name, types.SCHEDULE_DELETED, {"name": schedule.name, "reason": "no code declares it any more"}, SCHEDULER)
                declared.deleted.append(schedule.name)
        for name, spec in self.specs.items():
            known = unit.schedules.get(name)
            if known is not None and known.declared_by != CODE:
                declared.taken.append(name)
                continue
            _, outcome = _put(unit, name, replace(spec, declared_by=CODE), SCHEDULER)
            getattr(declared, outcome).append(name)
        return declared


@dataclass(slots=True)
class DeleteSchedule(_OfOne):
    actor: str
    reason: str | None

    def apply(self, unit: Unit) -> None:
        if self.found(unit).declared_by == CODE:
            raise Conflict(f"schedule {self.name!r} is declared in code and would come back: remove it there, or pause it here")
        tell(unit, self.name, types.SCHEDULE_DELETED, {"name": self.name, "reason": self.reason}, self.actor)


@dataclass(slots=True)
class PauseSchedule(_OfOne):
    """Pauses or resumes; asking for what is so already changes nothing."""

    paused: bool
    actor: str
    reason: str | None

    def apply(self, unit: Unit) -> Schedule:
        schedule = self.found(unit)
        if schedule.paused == self.paused:
            return schedule
        if self.paused:
            tell(unit, self.name, types.SCHEDULE_PAUSED, {"name": self.name, "reason": self.reason}, self.actor)
        else:
            next_at = replace(schedule, paused=False).next_after(unit.now)
            tell(unit, self.name, types.SCHEDULE_RESUMED, {"name": self.name, "next_at": optional_rfc3339(next_at)}, self.actor)
        return unit.schedules[self.name]


@dataclass(slots=True)
class RunSchedule(_OfOne):
    """A person's firing, now, whatever still runs; the due times stay as they are."""

    late: ClassVar[bool] = True
    resolve: Resolve
    actor: str
    keys: tuple[str, ...] = ()
    fingerprint: bytes = b""
    traceparent: str | None = None
    job_id: str = ""
    outcome: JobRequest | ObservatoryError | None = field(default=None)

    def plan(self, needs: Needs, unit: Unit) -> None:
        schedule = unit.schedules.get(self.name)
        if schedule is None:
            return
        try:
            request = self.outcome = replace(
                self.resolve(schedule.template), actor=self.actor, keys=self.keys, fingerprint=self.fingerprint, traceparent=self.traceparent
            )
        except Refused as error:
            faults = [replace(fault, pointer=f"/template{fault.pointer}") for fault in error.faults]
            self.outcome = ContractViolation(f"the template of schedule {self.name!r} is refused now: {error.message}", faults=faults)
            return
        ask_for(request, needs)
        self.job_id = unit.ids.next(unit.now)
        needs.keys += [(key, self.job_id, self.fingerprint) for key in self.keys]

    def apply(self, unit: Unit) -> Submitted:
        schedule, request = self.found(unit), self.outcome
        if not isinstance(request, JobRequest):
            raise request or ScheduleNotFound(f"there is no schedule {self.name!r}")
        try:
            known = known_job(unit, self.job_id, request)
        except ObservatoryError:
            unit.point_keys([key for key in self.keys if unit.keys[key][0] == self.job_id], None)
            raise
        if known is not None:
            return known
        if (holder := holder_of_unique_key(unit, request)) is not None:
            unit.point_keys(self.keys, (holder.id, self.fingerprint))
            return Submitted(holder.id, holder.status, created=False, deduplicated=True)
        job = submit(unit, schedule, self.job_id, request, unit.now, manual=True, next_at=schedule.next_at)
        return Submitted(job.id, job.status, created=True)
