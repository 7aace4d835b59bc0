"""How long handlers take, which of them fail at once or kill their workers, and what follows: batches, turns, how much to
claim, and what not to claim (I18)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

QUICK_SECONDS = 0.005  # types that take longer go to a worker one at a time
MOST_HELD = 256
MOST_PARKED = 2 * MOST_HELD  # jobs that wait for their type's turn and take no other's room
AHEAD_SECONDS = 0.05  # how much quick work to claim ahead of each worker
KILL_SHARE = 20  # a type that kills its workers waits so many times what a kill cost
ACQUITTED_AFTER = 3
FAILS_AT_ONCE_SECONDS = 0.1
FAILURES = 20  # in a row and at once, after which a type is held back
FAILURE_SHARE = 50  # so many attempts of others for one of a type that always fails at once
FAILURES_SAVED = 25.0
FAILURES_OWED = -4.0  # what it does while nobody waits is not held against it for long
FORGOTTEN_SECONDS = 60.0
OTHERS_SECONDS = 10 * AHEAD_SECONDS  # nobody else's attempt ended for so long: nobody is held up
_WEIGHT = 0.2
_RECENT_WEIGHT = 0.05


@dataclass(slots=True)
class Suspicion:
    """A type whose last attempt took its worker down: it runs one at a time, alone in a worker, and, when it does that
    again, no more often than costs the others a twentieth of the time."""

    kills: int = 0
    ended_well: int = 0
    resume_at: float = 0.0
    seen_at: float = 0.0


@dataclass(slots=True)
class Streak:
    """Failures of a type in a row, each at once; `allowance` is how many more may begin while others wait: so many as show
    whether it always fails, and then a share."""

    failures: int = 0
    allowance: float = FAILURES - 1
    seen_at: float = 0.0


class HeldBack(NamedTuple):
    """`types` always fail at once or kill their workers; of them, those `at_all` are not to be claimed now. Of the others so
    many may be claimed `in_turn` though jobs of other types wait, and so many `freely` when none do."""

    types: frozenset[str] = frozenset()
    at_all: frozenset[str] = frozenset()
    in_turn: int = 0
    freely: int = 0


@dataclass(slots=True)
class Pace:
    """Measured durations by type (a moving average), suspicions, streaks. Times are monotonic seconds."""

    size: int
    _expected: dict[str, float] = field(default_factory=dict)
    _suspects: dict[str, Suspicion] = field(default_factory=dict)
    _streaks: dict[str, Streak] = field(default_factory=dict)
    _recent: float = 1.0
    _others_at: float = float("-inf")

    def ended(self, task_type: str, seconds: float, now: float, *, failed: bool = False) -> None:
        """A handler of this type ended by itself or by its timeout, its worker or not with it."""
        known = self._expected.get(task_type)
        self._expected[task_type] = seconds if known is None else known + _WEIGHT * (seconds - known)
        self._recent += _RECENT_WEIGHT * (min(seconds, 1.0) - self._recent)
        if not failed or seconds >= FAILS_AT_ONCE_SECONDS:
            self._streaks.pop(task_type, None)
        else:
            streak = self._streaks.setdefault(task_type, Streak())
            streak.failures, streak.seen_at = streak.failures + 1, now
        suspicion = self._suspects.get(task_type)
        if suspicion is not None:
            suspicion.ended_well += 1
            if suspicion.ended_well >= ACQUITTED_AFTER:
                del self._suspects[task_type]
        elif not self.always_fails(task_type):
            self._others_at = now
            for streak in self._streaks.values():
                streak.allowance = min(streak.allowance + 1 / FAILURE_SHARE, max(streak.allowance, FAILURES_SAVED))

    def killed_its_worker(self, task_type: str, cost_seconds: float, now: float) -> None:
        """A worker died under this type; `cost_seconds` is what the others lost by it."""
        self._streaks.pop(task_type, None)
        suspicion = self._suspects.setdefault(task_type, Suspicion())
        suspicion.kills += 1
        suspicion.ended_well, suspicion.seen_at = 0, now
        suspicion.resume_at = now + (KILL_SHARE * cost_seconds if suspicion.kills > 1 else 0.0)

    @property
    def has_offenders(self) -> bool:
        """Whether any type is suspect or has failed at once just now."""
        return bool(self._suspects or self._streaks)

    def begins(self, task_type: str) -> None:
        """A job of this type goes to a worker."""
        streak = self._streaks.get(task_type)
        if streak is not None:
            streak.allowance = max(streak.allowance - 1.0, FAILURES_OWED)

    def comes_back(self, task_type: str) -> None:
        """A job of this type was taken from its worker before it began."""
        streak = self._streaks.get(task_type)
        if streak is not None:
            streak.allowance += 1.0

    def expected_seconds(self, task_type: str) -> float:
        return self._expected.get(task_type, 1.0)

    def is_quick(self, task_type: str) -> bool:
        """Whether jobs of this type go to a worker in batches; a type not seen yet does not."""
        return self._expected.get(task_type, 1.0) < QUICK_SECONDS

    def is_suspect(self, task_type: str) -> bool:
        return task_type in self._suspects

    def always_fails(self, task_type: str) -> bool:
        """Whether it has failed at once so often in a row that it is held back."""
        streak = self._streaks.get(task_type)
        return streak is not None and streak.failures >= FAILURES

    def may_begin(self, task_type: str, now: float) -> bool:
        """Whether a job of this type may run now: its type's pause is over, its share not used up, or there is nobody whom it
        could hold up."""
        suspicion, streak = self._suspects.get(task_type), self._streaks.get(task_type)
        if suspicion is not None:
            return now >= suspicion.resume_at or self._is_alone(now)
        return streak is None or streak.allowance >= 1.0 or self._is_alone(now)

    def held_back(self, held: Iterable[str], now: float, parked: Mapping[str, int] | None = None) -> HeldBack:
        """Of which types no more are to be claimed now, or few; `held` are those of jobs that the pool has, `parked` how
        many of these, by type, may not begin now."""
        self._forget(now - FORGOTTEN_SECONDS)
        failing = {name: int(streak.allowance) - (parked or {}).get(name, 0) for name, streak in self._streaks.items() if self.always_fails(name)}
        waiting = {name for name in self._suspects if not self.may_begin(name, now)} | self._suspects.keys() & set(held)
        suspects = len(self._suspects) - len(waiting)
        in_turn = max(0, *failing.values(), min(suspects, 1))
        return HeldBack(frozenset({*failing, *self._suspects}), frozenset(waiting), in_turn, 1 if suspects else MOST_HELD)

    def _forget(self, before: float) -> None:
        """Whoever was not seen since has to be found out anew."""
        for known in (self._streaks, self._suspects):
            for name in [name for name, offence in known.items() if offence.seen_at < before]:
                del known[name]

    def _is_alone(self, now: float) -> bool:
        return now - self._others_at > OTHERS_SECONDS

    def capacity(self, free_workers: int) -> int:
        """How many jobs to hold at once: quick ones for 50 ms, 256 at most; of slow ones two a worker."""
        slow = 2 * self.size
        if free_workers == 0 or self._recent >= QUICK_SECONDS:
            return slow
        return min(MOST_HELD, max(slow, int(free_workers * AHEAD_SECONDS / max(self._recent, 1e-6))))
