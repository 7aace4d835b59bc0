"""What a schedule's due time becomes: one job, keyed by schedule and due time, or a skip that says why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from contracts import event_types as types
from contracts import trace
from contracts.errors import ConfigurationError, ObservatoryError
from contracts.job import Job, JobRequest, JobStatus
from contracts.schedule import FIRINGS_AT_ONCE, Schedule, after_event
from contracts.times import MICROSECONDS, optional_rfc3339, to_rfc3339
from functions.stores.commands.submissions import accept, holder_of_unique_key, known_job
from functions.stores.commands.unit import Needs, Unit
from functions.stores.job_store import Resolve
from functions.stores.moves import SCHEDULER

ON_TIME_MICROS = 60 * MICROSECONDS  # a due time seen within that was not missed: it is what misfires `none` still fires
FINGERPRINT = b"schedule"  # the same for every firing: the due time decides, whatever the template has become


def firing_key(name: str, due: int) -> str:
    """The idempotency key of a firing."""
    return f"schedule:{name}:{to_rfc3339(due)}"


@dataclass(slots=True)
class Firing:
    """What one tick does about one schedule. `dues` are to become jobs, in order; `job_ids` has as many as may."""

    schedule: Schedule
    dues: Sequence[int]
    next_at: int | None
    job_ids: list[str]
    request: JobRequest | None = None
    refusal: str | None = None
    missed: dict[str, Any] | None = None  # the due times that the misfire rule passes over, as the event tells them

    @property
    def name(self) -> str:
        return self.schedule.name

    def key(self, index: int) -> str:
        return firing_key(self.name, self.dues[index])


# ---- planning: before what it needs is loaded -------------------------------------------------------------------


def plan(schedule: Schedule, needs: Needs, unit: Unit, resolve: Resolve) -> Firing:
    """Decides what to do about a schedule that is due, and asks for what that needs."""
    firing = _decided(schedule, unit.now)
    needs.streams.add(schedule.stream)
    if firing.dues and firing.refusal is None:
        try:
            firing.request = resolve(schedule.template)
        except ObservatoryError as error:
            firing.refusal = refusal_of(error)
    if firing.request is not None:
        ask_for(firing.request, needs)
        if schedule.last_job_id is not None and schedule.overlap == "skip":
            needs.looked_at.add(schedule.last_job_id)
        for index in range(min(len(firing.dues), 1 if schedule.overlap == "skip" else len(firing.dues))):
            firing.job_ids.append(unit.ids.next(unit.now))
            needs.keys.append((firing.key(index), firing.job_ids[index], FINGERPRINT))
    return firing


def ask_for(request: JobRequest, needs: Needs) -> None:
    """What the submission of a resolved template must find loaded."""
    if request.unique_key is not None:
        needs.uniques.add((request.type, request.unique_key))


def refusal_of(error: ObservatoryError) -> str:
    """What a refusal says, with its first fault."""
    fault = error.faults[0] if error.faults else None
    return f"{error.message} {fault.pointer or 'the whole'}: {fault.message}"[:500] if fault else error.message[:500]


def _decided(schedule: Schedule, now: int) -> Firing:
    assert schedule.next_at is not None
    most = FIRINGS_AT_ONCE if schedule.misfires == "all" else 1
    try:
        passed = schedule.timing.passed(schedule.next_at, now, most + 1)
        next_at = schedule.timing.next_after(max(now, passed.dues[-1]))
    except ConfigurationError as error:  # a time zone that this machine does not know any more
        return Firing(schedule, [schedule.next_at], None, [], refusal=error.message)
    dues = passed.dues[-most:]
    if schedule.misfires == "none" and now - dues[-1] > ON_TIME_MICROS:
        return Firing(schedule, [], next_at, [], missed=_several(passed.first, dues[-1], passed.earlier + len(passed.dues), passed.more))
    earlier = passed.earlier + len(passed.dues) - len(dues)
    missed = _several(passed.first, passed.dues[-len(dues) - 1], earlier, passed.more) if earlier else None
    return Firing(schedule, dues, next_at, [], missed=missed)


def _several(first: int, last: int, count: int, more: bool = False) -> dict[str, Any]:
    """How an event tells of one or several due times."""
    if count == 1:
        return {"due_at": to_rfc3339(last)}
    return {"due_at": to_rfc3339(last), "first_due_at": to_rfc3339(first), "count": count} | ({"more": True} if more else {})


# ---- doing: with all that loaded --------------------------------------------------------------------------------


def fire(unit: Unit, firing: Firing) -> tuple[int, int]:
    """Submits the jobs and tells of them and of what is passed over; how many fired, and how many were skipped."""
    skipped = _skip(unit, firing, firing.missed, "misfire") if firing.missed is not None else 0
    if firing.dues and firing.request is None:
        return 0, skipped + _skip_dues(unit, firing, 0, "refused", detail=firing.refusal)
    fired = 0
    for index, due in enumerate(firing.dues):
        assert firing.request is not None
        if (obstacle := _obstacle(unit, firing)) is not None:
            return fired, skipped + _skip_dues(unit, firing, index, *obstacle)
        job_id = firing.job_ids[index]
        request = replace(firing.request, keys=(firing.key(index),), fingerprint=FINGERPRINT, actor=SCHEDULER)
        if (known := known_job(unit, job_id, request)) is not None:
            skipped += _skip(unit, firing, _several(due, due, 1), "fired_before", known.id)
        else:
            submit(unit, firing.schedule, job_id, request, due, manual=False, next_at=firing.next_at)
            fired += 1
    return fired, skipped


def _obstacle(unit: Unit, firing: Firing) -> tuple[str, str] | None:
    """What keeps this and every later due time of the tick from firing: the reason, and the job in the way."""
    last = unit.jobs.get(unit.schedules[firing.name].last_job_id or "")
    if firing.schedule.overlap == "skip" and last is not None and not JobStatus(last.status).is_terminal:
        return "overlap", last.id
    assert firing.request is not None
    holder = holder_of_unique_key(unit, firing.request)
    return ("unique_key", holder.id) if holder is not None else None


def submit(unit: Unit, schedule: Schedule, job_id: str, request: JobRequest, due: int, *, manual: bool, next_at: int | None) -> Job:
    """The event of a firing, and the job that it causes."""
    data = {"name": schedule.name, "due_at": to_rfc3339(due), "job_id": job_id, "manual": manual, "next_at": optional_rfc3339(next_at)}
    traceparent = request.traceparent or trace.begun_by(job_id)
    tell(unit, schedule.name, types.SCHEDULE_FIRED, data, request.actor, traceparent=traceparent)
    cause = f"{schedule.stream}/{unit.streams[schedule.stream]}"
    return accept(unit, job_id, replace(request, cause=cause, traceparent=traceparent), (), schedule.name)


def tell(unit: Unit, name: str, event_type: str, data: dict[str, Any], actor: str, **extensions: str) -> Schedule | None:
    """An event of a schedule, and what becomes of the schedule by it."""
    unit.tell(f"schedule/{name}", event_type, data, actor, **extensions)
    changed = after_event(unit.schedules.get(name), unit.documents[-1])
    unit.changed_schedules.add(name)
    if changed is None:
        unit.schedules.pop(name, None)
    else:
        unit.schedules[name] = changed
    return changed


def _skip_dues(unit: Unit, firing: Firing, index: int, reason: str, job_id: str | None = None, detail: str | None = None) -> int:
    """Passes over the due times from `index` on, as one event; keys that were reserved for them are free again."""
    reserved = {firing.key(n): firing.job_ids[n] for n in range(index, len(firing.job_ids))}
    unit.point_keys([key for key, own in reserved.items() if unit.keys[key][0] == own], None)
    dues = firing.dues[index:]
    return _skip(unit, firing, _several(dues[0], dues[-1], len(dues)), reason, job_id, detail)


def _skip(unit: Unit, firing: Firing, times: dict[str, Any], reason: str, job_id: str | None = None, detail: str | None = None) -> int:
    data = {"name": firing.name, **times, "reason": reason, "job_id": job_id, "next_at": optional_rfc3339(firing.next_at)}
    tell(unit, firing.name, types.SCHEDULE_SKIPPED, data | ({"detail": detail} if detail else {}), SCHEDULER)
    return int(times.get("count", 1))
