"""How long handlers take, which of them kill their workers, and what follows: batches, turns, how much to claim."""

from dataclasses import dataclass, field

QUICK_SECONDS = 0.005  # types that take longer go to a worker one at a time
MOST_HELD = 256
AHEAD_SECONDS = 0.05  # how much quick work to claim ahead of each worker
KILL_SHARE = 20  # a type that kills its workers waits so many times what a kill cost
ACQUITTED_AFTER = 3
_WEIGHT = 0.2
_RECENT_WEIGHT = 0.05


@dataclass(slots=True)
class Suspicion:
    """A type whose last attempt took its worker down: it runs one at a time, alone in a worker, and, when it does that
    again, no more often than costs the others a twentieth of the time."""

    kills: int = 0
    ended_well: int = 0
    resume_at: float = 0.0


@dataclass(slots=True)
class Pace:
    """Measured durations by type (a moving average), and suspicions. Times are monotonic seconds."""

    size: int
    _expected: dict[str, float] = field(default_factory=dict)
    _suspects: dict[str, Suspicion] = field(default_factory=dict)
    _recent: float = 1.0
    _others_at: float = float("-inf")

    def ended(self, task_type: str, seconds: float, now: float) -> None:
        """A handler of this type ended by itself or by its timeout, its worker or not with it."""
        known = self._expected.get(task_type)
        self._expected[task_type] = seconds if known is None else known + _WEIGHT * (seconds - known)
        self._recent += _RECENT_WEIGHT * (min(seconds, 1.0) - self._recent)
        suspicion = self._suspects.get(task_type)
        if suspicion is None:
            self._others_at = now
            return
        suspicion.ended_well += 1
        if suspicion.ended_well >= ACQUITTED_AFTER:
            del self._suspects[task_type]

    def killed_its_worker(self, task_type: str, cost_seconds: float, now: float) -> None:
        """A worker died under this type; `cost_seconds` is what the others lost by it."""
        suspicion = self._suspects.setdefault(task_type, Suspicion())
        suspicion.kills += 1
        suspicion.ended_well = 0
        suspicion.resume_at = now + (KILL_SHARE * cost_seconds if suspicion.kills > 1 else 0.0)

    def expected_seconds(self, task_type: str) -> float:
        return self._expected.get(task_type, 1.0)

    def is_quick(self, task_type: str) -> bool:
        """Whether jobs of this type go to a worker in batches; a type not seen yet does not."""
        return self._expected.get(task_type, 1.0) < QUICK_SECONDS

    def is_suspect(self, task_type: str) -> bool:
        return task_type in self._suspects

    def may_begin(self, task_type: str, now: float) -> bool:
        """Whether a suspect type may run now: its pause is over, or there is nobody whom it could hold up."""
        suspicion = self._suspects[task_type]
        return now >= suspicion.resume_at or now - self._others_at > 10 * AHEAD_SECONDS

    def capacity(self, free_workers: int) -> int:
        """How many jobs to hold at once: quick ones for 50 ms, 256 at most; of slow ones two a worker."""
        slow = 2 * self.size
        if free_workers == 0 or self._recent >= QUICK_SECONDS:
            return slow
        return min(MOST_HELD, max(slow, int(free_workers * AHEAD_SECONDS / max(self._recent, 1e-6))))
