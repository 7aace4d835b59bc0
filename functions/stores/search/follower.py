"""Keeps the search index up with the feed, on a thread of its own, and takes little of the processor while others need it.

Nothing of it is in the writer's transactions. It takes a small share of the time, the smaller the more is written, because
a query looks at what it has not reached yet by itself.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from contracts.log_fields import about
from functions.stores.search import writing
from functions.stores.search.bits import BLOCK
from functions.stores.search.entries import Shown, entries
from functions.stores.search.rows import IndexWriter, JobRows, Progress

log = logging.getLogger("observatory.search")

LOOK_SECONDS = 0.25
STEP_EVENTS = 4_000
ENOUGH_EVENTS = 1_000  # so many, or a second's, make a step
WAIT_SECONDS = 1.0
CHUNK = 64
SWEEP_JOBS = 20_000  # so many dropped jobs, or an hour's, are worth a sweep
SWEEP_SECONDS = 3_600.0
BUSY_EVENTS_A_SECOND = 1_500
SHARES = {"idle": 0.5, "some": 0.15, "busy": 0.03}  # of one core, at most
FAULT_SECONDS = 5.0
Item = TypeVar("Item")


class Follower:
    """Follows the feed that `jobs` reads into the index that `index` writes; both become its own, and `close` closes them. Where several
    processes could, `is_ours` says whether it is this one's turn."""

    def __init__(
        self, jobs: JobRows, index: IndexWriter, shown: Shown, close: Callable[[], None], is_ours: Callable[[], bool] = lambda: True
    ) -> None:
        self._jobs, self._index, self._shown, self._close, self._is_ours = jobs, index, shown, close, is_ours
        self._stopped = threading.Event()
        self._hurried = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="search-follower", daemon=True)
        self._share = SHARES["idle"]
        self._swept_to, self._swept_at = 0, time.monotonic()
        self._sweep: list[int] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the step in hand."""
        self._stopped.set()
        self._hurried.set()
        if self._thread.is_alive():
            self._thread.join()
        self._close()

    def hurry(self) -> None:
        """Somebody waits for it."""
        self._hurried.set()

    # ---- the thread -------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        seen, seen_at = 0, 0.0
        behind_since: float | None = None
        while not self._stopped.is_set():
            try:
                if not self._is_ours():
                    self._stopped.wait(FAULT_SECONDS)
                    continue
                head, now = self._jobs.head(), time.monotonic()
                self._share = self._allowed((head - seen) / max(now - seen_at, 0.001) if seen_at else 0.0)
                seen, seen_at = head, now
                lag = head - self._index.progress().position
                behind_since = (behind_since or now) if lag else None
                due = lag >= ENOUGH_EVENTS or (behind_since is not None and now - behind_since >= WAIT_SECONDS) or self._hurried.is_set()
                if (lag and due and self.follow()) or (not lag and self.fill()) or self.sweep():
                    behind_since = None
                    continue
                self._hurried.clear()
                self._hurried.wait(LOOK_SECONDS)
            except Exception as error:  # a full disk, a locked file: what is not indexed is looked at by the queries
                log.warning("the search index cannot go on: %s", error, extra=about("search.stuck"))
                self._stopped.wait(FAULT_SECONDS)

    @staticmethod
    def _allowed(events_a_second: float) -> float:
        if events_a_second > BUSY_EVENTS_A_SECOND:
            return SHARES["busy"]
        return SHARES["some"] if events_a_second > 0 else SHARES["idle"]

    # ---- steps ------------------------------------------------------------------------------------------------

    def follow(self) -> bool:
        """Takes the jobs of the next events in; False at the head of the feed."""
        reached = self._index.progress()
        last, ids = self._jobs.changes_after(reached.position, STEP_EVENTS)
        if last == reached.position:
            return False
        with self._index.step():
            for some in self._paced(ids):
                writing.write(self._index, entries(self._jobs.raw_of(some), self._shown), reached.first_block)
            self._index.set_progress(Progress(last, reached.first_block))
        return True

    def fill(self) -> bool:
        """Takes in the next older block that the index does not hold; False when it holds all."""
        reached = self._index.progress()
        if reached.first_block == 0:
            return False
        block = reached.first_block - 1
        start = block * BLOCK
        with self._index.step():
            for some in self._paced(range(start, start + BLOCK)):
                writing.write(self._index, entries(self._jobs.raw_between(some[0], some[-1] + 1), self._shown))
            self._index.set_progress(Progress(reached.position, block))
        return True

    def sweep(self) -> bool:
        """After retention dropped jobs: forgets those of one block; False when there is nothing to sweep."""
        if not self._sweep:
            dropped = self._jobs.dropped()
            is_due = dropped - self._swept_to >= SWEEP_JOBS or time.monotonic() - self._swept_at >= SWEEP_SECONDS
            if dropped == self._swept_to or not is_due:
                return False
            self._swept_to, self._swept_at = dropped, time.monotonic()
            self._sweep = self._index.blocks()
        if self._sweep:
            block = self._sweep.pop()
            with self._index.step():
                writing.keep_only(self._index, block, self._jobs.there_in(block))
        return True

    def _paced(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """The items in small lots, with a rest after each that leaves others the larger share of the time."""
        for start in range(0, len(items), CHUNK):
            began = time.monotonic()
            yield items[start : start + CHUNK]
            if not self._hurried.is_set():
                spent = time.monotonic() - began
                self._stopped.wait(min(spent * (1 / self._share - 1), 1.0))
