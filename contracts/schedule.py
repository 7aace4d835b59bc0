"""A schedule: what it submits and when, and the one fold of its events that stores and rebuilds share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from contracts import event_types as types
from contracts.errors import ConfigurationError
from contracts.times import from_rfc3339, optional_rfc3339, to_rfc3339
from contracts.timing import Timing

CODE, PERSON = "code", "person"
NEXT_RUNS = 5
FIRINGS_AT_ONCE = 1_000  # the most that misfires `all` makes up for in one go


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """What somebody wants of a schedule: checked, every default filled in. `paused` None leaves a pause as it is."""

    template: dict[str, Any]
    cron: str | None = None
    every_seconds: float | None = None
    timezone: str = "UTC"
    overlap: str = "skip"
    misfires: str = "one"
    paused: bool | None = None
    declared_by: str = PERSON


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as its store keeps it. Instants (`_at`) are microseconds since the epoch.

    `template` is the job request that a firing submits; `overlap` skip or queue; `misfires` one, all or none;
    `declared_by` person or code. `last_at` is the due time of the last firing, `last_skipped_at` of the last one that
    passed without a job; `next_at` is None while it is paused.
    """

    name: str
    timing: Timing
    template: dict[str, Any]
    overlap: str
    misfires: str
    declared_by: str = PERSON
    paused: bool = False
    paused_by: str | None = None
    paused_at: int | None = None
    pause_reason: str | None = None
    next_at: int | None = None
    last_at: int | None = None
    last_job_id: str | None = None
    last_skipped_at: int | None = None
    last_skip_reason: str | None = None
    created_at: int = 0
    updated_at: int = 0

    @property
    def stream(self) -> str:
        return f"schedule/{self.name}"

    def is_as(self, spec: ScheduleSpec) -> bool:
        """Whether a wish would change nothing."""
        now = (self.template, self.timing.cron, self.timing.every_seconds, self.timing.timezone, self.overlap, self.misfires, self.declared_by)
        wished = (spec.template, spec.cron, spec.every_seconds, spec.timezone, spec.overlap, spec.misfires, spec.declared_by)
        return now == wished and spec.paused in (None, self.paused)

    def next_after(self, instant: int) -> int | None:
        """The next due time past an instant; None while paused, and when this machine cannot tell any more."""
        try:
            return None if self.paused else self.timing.next_after(instant)
        except ConfigurationError:
            return None

    def as_json(self) -> dict[str, Any]:
        """The schedule as `schemas/schedule.json` has it, unredacted."""
        return {
            "name": self.name,
            "cron": self.timing.cron,
            "every_seconds": self.timing.every_seconds,
            "timezone": self.timing.timezone,
            "in_words": self._in_words(),
            "template": self.template,
            "overlap": self.overlap,
            "misfires": self.misfires,
            "declared_by": self.declared_by,
            "paused": self.paused,
            "paused_by": self.paused_by,
            "paused_at": optional_rfc3339(self.paused_at),
            "pause_reason": self.pause_reason,
            "next_at": optional_rfc3339(self.next_at),
            "next_runs": self._next_runs(),
            "last_at": optional_rfc3339(self.last_at),
            "last_job_id": self.last_job_id,
            "last_skipped_at": optional_rfc3339(self.last_skipped_at),
            "last_skip_reason": self.last_skip_reason,
            "created_at": to_rfc3339(self.created_at),
            "updated_at": to_rfc3339(self.updated_at),
        }

    def _in_words(self) -> str | None:
        try:
            return self.timing.words()
        except ConfigurationError:
            return None

    def _next_runs(self) -> list[str]:
        if self.next_at is None:
            return []
        try:
            later = islice(self.timing.dues(self.next_at), NEXT_RUNS - 1)
            return [to_rfc3339(due) for due in (self.next_at, *later)]
        except ConfigurationError:
            return [to_rfc3339(self.next_at)]


def after_event(schedule: Schedule | None, event: Mapping[str, Any]) -> Schedule | None:
    """The schedule after an event of its stream, in the order of the stream; None before it is there and once it is gone."""
    kind, data, now = event["type"], event["data"], from_rfc3339(event["time"])
    if kind in (types.SCHEDULE_CREATED, types.SCHEDULE_UPDATED):
        return _declared(schedule if kind == types.SCHEDULE_UPDATED else None, data, now, event["actor"])
    if kind == types.SCHEDULE_DELETED or schedule is None:
        return None
    if kind == types.SCHEDULE_PAUSED:
        return replace(schedule, paused=True, paused_by=event["actor"], paused_at=now, pause_reason=data["reason"], next_at=None)
    if kind == types.SCHEDULE_RESUMED:
        return replace(schedule, paused=False, paused_by=None, paused_at=None, pause_reason=None, next_at=_instant(data["next_at"]))
    if kind == types.SCHEDULE_FIRED:
        return replace(schedule, next_at=_instant(data["next_at"]), last_at=_instant(data["due_at"]), last_job_id=data["job_id"])
    if kind == types.SCHEDULE_SKIPPED:
        return replace(schedule, next_at=_instant(data["next_at"]), last_skipped_at=_instant(data["due_at"]), last_skip_reason=_skip_reason(data))
    return schedule  # a later version's event


def fold_schedule(events: Iterable[Mapping[str, Any]]) -> Schedule | None:
    """What the events of one stream make, in their order; firings and skips that later ones outdo may be missing."""
    schedule: Schedule | None = None
    for event in events:
        schedule = after_event(schedule, event)
    return schedule


def _declared(schedule: Schedule | None, data: Mapping[str, Any], now: int, actor: str) -> Schedule:
    anchor = _instant(data.get("anchor_at"))
    paused = data["paused"]
    kept = schedule is not None and schedule.paused and paused
    return Schedule(
        name=data["name"],
        timing=Timing(data["cron"], data["every_seconds"], data["timezone"], now if anchor is None else anchor),
        template=data["template"],
        overlap=data["overlap"],
        misfires=data["misfires"],
        declared_by=data.get("declared_by", PERSON),
        paused=paused,
        paused_by=schedule.paused_by if schedule and kept else actor if paused else None,
        paused_at=schedule.paused_at if schedule and kept else now if paused else None,
        pause_reason=schedule.pause_reason if schedule and kept else None,
        next_at=_instant(data["next_at"]),
        last_at=schedule.last_at if schedule else None,
        last_job_id=schedule.last_job_id if schedule else None,
        last_skipped_at=schedule.last_skipped_at if schedule else None,
        last_skip_reason=schedule.last_skip_reason if schedule else None,
        created_at=schedule.created_at if schedule else now,
        updated_at=now,
    )


def _skip_reason(data: Mapping[str, Any]) -> str:
    detail = data.get("detail")
    return f"{data['reason']}: {detail}" if detail else str(data["reason"])


def _instant(text: str | None) -> int | None:
    return None if text is None else from_rfc3339(text)


def declaration(spec: ScheduleSpec, known: Schedule | None, name: str, now: int) -> dict[str, Any]:
    """The data of `schedule.created` (`known` None) or `schedule.updated` for a wish."""
    same_interval = known is not None and known.timing.every_seconds == spec.every_seconds
    anchor = known.timing.anchor_at if known is not None and same_interval else now
    paused = spec.paused if spec.paused is not None else known is not None and known.paused
    timing = Timing(spec.cron, spec.every_seconds, spec.timezone, anchor)
    return {
        "name": name,
        "cron": spec.cron,
        "every_seconds": spec.every_seconds,
        "timezone": spec.timezone,
        "template": spec.template,
        "overlap": spec.overlap,
        "misfires": spec.misfires,
        "declared_by": spec.declared_by,
        "paused": paused,
        "anchor_at": to_rfc3339(anchor),
        "next_at": None if paused else optional_rfc3339(_next(known, timing, now)),
    }


def _next(known: Schedule | None, timing: Timing, now: int) -> int | None:
    """A change of what is submitted leaves a firing that is due due."""
    if known is not None and known.timing == timing and known.next_at is not None:
        return known.next_at
    return timing.next_after(now)
