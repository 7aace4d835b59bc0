"""The jobs of the pool that no worker has."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress

from functions.processor.dealing import Deal
from functions.processor.pace import Pace
from functions.processor.worker_link import Held, WorkerLink


class Waiting:
    """Those in the `backlog` wait for a worker, the first comes next; those that are parked, by type, for their type's turn."""

    def __init__(self, pace: Pace) -> None:
        self.backlog: deque[Held] = deque()
        self._parked: dict[str, deque[Held]] = {}
        self._pace = pace

    def __bool__(self) -> bool:
        return bool(self.backlog or self._parked)

    def parked(self) -> dict[str, int]:
        """How many jobs, by type."""
        return {task_type: len(waiting) for task_type, waiting in self._parked.items()}

    def deal(self, workers: Iterable[WorkerLink]) -> Mapping[WorkerLink, list[Held]]:
        """Takes out what the workers can take now."""
        deal = Deal(self._pace, workers, time.monotonic())
        for task_type, waiting in list(self._parked.items()):
            while waiting and deal.place(waiting[0]) == "placed":
                waiting.popleft()
            if not waiting:
                del self._parked[task_type]
        while self.backlog:
            held = self.backlog.popleft()
            where = "parked" if held.assignment.type in self._parked else deal.place(held)
            if where == "parked":
                self._parked.setdefault(held.assignment.type, deque()).append(held)
            elif where == "no worker":
                self.backlog.appendleft(held)
                break
        return deal.batches

    def put_back(self, back: list[Held]) -> None:
        """What was taken from its worker before it began comes next."""
        for held in back:
            self._pace.comes_back(held.assignment.type)
        self.backlog.extendleft(held for held in reversed(back) if not held.dropped)

    def remove(self, held: Held) -> None:
        for waiting in (self.backlog, self._parked.get(held.assignment.type, deque())):
            with suppress(ValueError):
                waiting.remove(held)

    def take_all(self) -> list[Held]:
        everything = [held for waiting in (*self._parked.values(), self.backlog) for held in waiting]
        self.backlog.clear()
        self._parked.clear()
        return everything
