"""What the pool tells of attempts: how they ended, and how far they are, nothing of it with the secrets of their payloads."""

from collections.abc import Callable
from typing import Any

from contracts.catalogue import Catalogue
from functions.processor.assignments import Outcome
from functions.processor.masking import Masker
from functions.processor.worker_link import Held

PROGRESS_SECONDS = 1.0

Progress = dict[str, Any]


class Teller:
    """Outcomes are gathered by `note` and told together. `masker` is that of the catalogue that the workers have."""

    def __init__(self, on_outcomes: Callable[[list[Outcome]], None], on_progress: Callable[[str, int, Progress], None]) -> None:
        self.masker = Masker(Catalogue())
        self._ready: list[Outcome] = []
        self._on_outcomes, self._on_progress = on_outcomes, on_progress

    def note(
        self, held: Held, kind: str, started_at: int, *, result: Any = None, error: dict[str, Any] | None = None,
        after_seconds: float | None = None, ran_micros: int = 0, output: str | None = None, worker: str = "",
    ) -> None:  # fmt: skip
        """An outcome to be told."""
        assignment = held.assignment
        mask = self.masker.of(assignment.type, assignment.payload)
        if mask is not None:
            result, error, output = mask.result(result), mask.error(error), mask.text(output)
        self._ready.append(
            Outcome(assignment.job_id, assignment.lease_token, kind, result, error, after_seconds, started_at, ran_micros, output, worker)
        )

    def tell(self) -> None:
        if self._ready:
            ready, self._ready = self._ready, []
            self._on_outcomes(ready)

    def progress(self, held: Held, said: tuple[float | None, str | None] | None, now: float, final: bool) -> bool:
        """Tells a progress unless the last one was less than a second ago; the final one always. Whether it is told."""
        if said is None or said == held.told:
            return True
        if not final and now - held.told_at < PROGRESS_SECONDS:
            return False
        held.told, held.told_at = said, now
        if not held.dropped:
            self._on_progress(held.assignment.job_id, held.assignment.lease_token, {"fraction": said[0], "message": self.masked(held, said[1])})
        return True

    def masked(self, held: Held, text: str | None) -> str | None:
        mask = self.masker.of(held.assignment.type, held.assignment.payload)
        return text if mask is None else mask.text(text)
