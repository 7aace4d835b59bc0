"""What is kept how long, what was dropped, and the checkpoint that dropped events leave behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.statistics import Delta

DAY_MICROS = 86_400_000_000
KEY_MICROS = DAY_MICROS  # an idempotency key lives so long, or as long as its job, whichever is longer (rule 8)
STATUSES = ("succeeded", "failed", "cancelled")
TOLD = ("schedule.fired", "schedule.skipped", "contract.refused", "deadletter.replayed", "deadletter.discarded", "alert.raised", "alert.resolved")
"""Events of streams that are no job's: they go once they are old. Of a schedule the last firing and the last skip stay."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended jobs are kept, in microseconds by their status (absent: for ever), and how many at most.

    `others_micros` holds for the events in `TOLD`, for dead letters that are settled and for counters of refusals.
    """

    jobs_micros: Mapping[str, int] = field(default_factory=dict)
    most_ended: int | None = None
    others_micros: int | None = None
    batch: int = 200


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one step dropped; `more`: another step would find work now; `over`: more ended jobs are there than may be."""

    jobs: int = 0
    events: int = 0
    keys: int = 0
    more: bool = False
    over: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The sum of what was dropped: a fold of the whole log is `sums` and the fold of the events that are left, in any order.

    `position` is the highest that was dropped, `as_of` the newest dropped event's time (microseconds), `jobs` how many jobs
    went. Minutes older than the statistics keep are in `sums` under ALL_TIME alone.
    """

    position: int
    as_of: int
    jobs: int
    sums: Delta


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long things are kept, in days; 0 keeps for ever, and of `jobs_max` any number."""

    succeeded_days: float = 7.0
    failed_days: float = 30.0
    jobs_max: int = 1_000_000
    others_days: float = 30.0
    statistics_days: float = 31.0
    history_days: float = 365.0

    def retention(self) -> Retention:
        days = {"succeeded": self.succeeded_days, "failed": self.failed_days, "cancelled": self.failed_days}
        kept = {status: round(value * DAY_MICROS) for status, value in days.items() if value}
        return Retention(kept, self.jobs_max or None, round(self.others_days * DAY_MICROS) or None)
