"""Which worker takes which of the waiting jobs."""

from collections.abc import Iterable
from typing import Literal

from functions.processor.pace import Pace
from functions.processor.worker_link import Held, WorkerLink

MOST_IN_A_BATCH = 128
BATCH_SECONDS = 0.025

Place = Literal["placed", "no worker", "parked"]


class Deal:
    """Deals waiting jobs to the workers that can take some now: quick ones in batches, others alone."""

    def __init__(self, pace: Pace, workers: Iterable[WorkerLink], now: float) -> None:
        self.batches: dict[WorkerLink, list[Held]] = {}
        self._pace = pace
        self._now = now
        open_workers = [worker for worker in workers if worker.usable and not worker.alone]
        self._idle = [worker for worker in open_workers if not worker.outstanding]
        self._open = [worker for worker in open_workers if worker.load_seconds < BATCH_SECONDS / 2]
        self._running = {held.assignment.type for w in workers if w.alone for held in w.outstanding.values() if held.suspect}

    def place(self, held: Held) -> Place:
        """Gives a job to a worker, if one can take it now and it is its type's turn."""
        task_type = held.assignment.type
        held.suspect = self._pace.is_suspect(task_type)
        if held.suspect:
            return self._place_suspect(held, task_type)
        if not self._pace.may_begin(task_type, self._now):
            return "parked"
        return self._place_quick(held, task_type) if self._pace.is_quick(task_type) else self._place_alone(held)

    def _place_quick(self, held: Held, task_type: str) -> Place:
        if not self._open:
            return "no worker"
        worker = min(self._open, key=_load)
        batch = self.batches.setdefault(worker, [])
        batch.append(held)
        self._pace.begins(task_type)
        worker.load_seconds += self._pace.expected_seconds(task_type)
        if self._idle and worker in self._idle:
            self._idle.remove(worker)
        if worker.load_seconds >= BATCH_SECONDS or len(batch) + len(worker.outstanding) >= MOST_IN_A_BATCH:
            self._open.remove(worker)
        return "placed"

    def _place_suspect(self, held: Held, task_type: str) -> Place:
        if task_type in self._running or not self._pace.may_begin(task_type, self._now):
            return "parked"
        if not self._idle:
            if self._open:
                self._open.remove(min(self._open, key=_load))  # it runs dry in a moment, and is then free for this one
            return "parked"
        self._running.add(task_type)
        return self._place_alone(held)

    def _place_alone(self, held: Held) -> Place:
        if not self._idle:
            return "no worker"
        worker = self._idle.pop()
        if worker in self._open:
            self._open.remove(worker)
        worker.alone = True
        self.batches[worker] = [held]
        self._pace.begins(held.assignment.type)
        return "placed"


def _load(worker: WorkerLink) -> float:
    return worker.load_seconds
