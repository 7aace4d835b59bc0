"""One page of the jobs that fit a query, newest first, from one snapshot of jobs and index.

Index first, jobs second: whatever changed in between has an event past the index's position. Those jobs, and the blocks that
the index does not hold yet, are looked at one by one, so that an answer is whole however far the index has come.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from contracts.errors import IndexBehind, QueryTooSlow
from contracts.query import Query
from contracts.query.syntax import AllOf, AnyOf, ErrorSays, Is, Node, PayloadIs, Says
from functions.stores.search.bits import BLOCK, below, offsets_down, set_of
from functions.stores.search.entries import Shown
from functions.stores.search.plan import Index, Planner
from functions.stores.search.rows import IndexRows, JobRows, Numbered, Progress

LOOK_AT = 128
MATCHING_AT = 2_000
FAR_BEHIND = 20_000


@dataclass(slots=True)
class Deadline:
    """When a query is given up."""

    at: float
    seconds: float
    behind: int = 0  # events that the index has yet to follow, or jobs that it does not hold yet

    def passed(self) -> bool:
        return time.monotonic() > self.at

    def check(self) -> None:
        if self.passed():
            raise self.fault()

    def fault(self) -> Exception:
        if self.behind > FAR_BEHIND:
            return IndexBehind(
                f"the search index is {self.behind:,} steps behind, and the rest takes more than {self.seconds:g} s to look through: "
                "nothing was answered; try again in a while"
            )
        return QueryTooSlow(
            f"the query took more than {self.seconds:g} s and was given up, so nothing was answered: "
            "add a term that few jobs fit (a tag, a type, age<1h), or leave out the longest text"
        )


@dataclass(frozen=True, slots=True)
class Found:
    """(number, job) newest first, one more than asked for if there are more; how far the index had come, and the feed."""

    jobs: Numbered
    indexed_to: int
    head: int


class Page:
    """Answers one query within the snapshots of `jobs` and of `index` (None: there is no index yet)."""

    def __init__(
        self, jobs: JobRows, index: IndexRows | None, query: Query, now: int, before: int, shown: Shown, deadline: Deadline
    ) -> None:
        self._jobs, self._index, self._query, self._now, self._before = jobs, index, query, now, before
        self._shown, self._deadline = shown, deadline
        needs, outputs = _needs(query)
        self._reader = jobs.looker(needs, outputs=outputs)

    def find(self, most: int) -> Found:
        """At most so many. Raises QueryTooSlow, IndexBehind."""
        numbers, reached, head = self._begun()
        return Found(self._load(numbers, most), reached, head)

    def matching(self) -> list[tuple[str, str]]:
        """(id, status) of all. Raises QueryTooSlow, IndexBehind."""
        numbers, _, _ = self._begun()
        found: list[tuple[str, str]] = []
        while wanted := list(islice(numbers, MATCHING_AT)):
            found += self._jobs.states(wanted)
            self._deadline.check()
        return found

    def _begun(self) -> tuple[Iterator[int], int, int]:
        """The numbers of the jobs that fit, how far the index had come, and the head of the feed."""
        reached = self._index.progress() if self._index is not None else None
        head = self._jobs.head()
        before = min(self._before, self._jobs.next_number())
        if (ids := _ids(self._query.root)) is not None:
            numbers: Iterable[int] = self._fitting(self._jobs.numbers_of(ids, before))
        else:
            numbers = self._numbers(reached, head, before)
        return iter(numbers), reached.position if reached is not None else 0, head

    def _load(self, numbers: Iterator[int], most: int) -> Numbered:
        """Jobs that are gone from the store, and not yet from the index, are passed over."""
        found: Numbered = []
        while len(found) < most and (wanted := list(islice(numbers, most - len(found)))):
            found += self._jobs.load(wanted)
            self._deadline.check()
        return found

    def _numbers(self, reached: Progress | None, head: int, before: int) -> Iterator[int]:
        if reached is None or self._index is None:
            self._deadline.behind = before
            return self._looked_at_below(before)
        first = reached.first_block * BLOCK
        self._deadline.behind = head - reached.position + min(first, before)
        changed = self._jobs.changed_since(reached.position, first, before)
        indexed = self._indexed(self._index, reached.first_block, before, changed)
        newer = heapq.merge(indexed, self._fitting(changed), reverse=True)
        return _one_after_the_other(newer, partial(self._looked_at_below, min(first, before)))

    def _indexed(self, rows: IndexRows, first_block: int, before: int, changed: Iterable[int]) -> Iterator[int]:
        """What the index knows, without the jobs that changed since."""
        stale: dict[int, list[int]] = {}
        for number in changed:
            stale.setdefault(number // BLOCK, []).append(number % BLOCK)
        index = Index(rows)
        planner = Planner(index, self._now, self._jobs.number_of, self._jobs.first_since, self._jobs.disorder_micros)
        part = planner.part(self._query.root)
        for block in index.blocks_down(before):
            if block < first_block:
                return
            self._deadline.check()
            every = index.everything(block) & below(before, block)
            if block in stale:
                every &= ~set_of(stale[block])
            surely, perhaps = part(block, every)
            yield from self._settled(block * BLOCK, surely & every, perhaps & every)

    def _settled(self, start: int, surely: int, perhaps: int) -> Iterator[int]:
        if surely == perhaps:
            yield from (start + offset for offset in offsets_down(surely))
            return
        unsure = self._fitting(start + offset for offset in offsets_down(perhaps & ~surely))
        yield from heapq.merge((start + offset for offset in offsets_down(surely)), unsure, reverse=True)

    # ---- looking at jobs --------------------------------------------------------------------------------------

    def _fitting(self, numbers: Iterable[int]) -> Iterator[int]:
        """Those that fit, looked at one by one; `numbers` come newest first."""
        left = iter(numbers)
        while some := list(islice(left, LOOK_AT)):
            yield from self._fit(self._reader.of(some))

    def _looked_at_below(self, before: int) -> Iterator[int]:
        while some := self._reader.below(before, LOOK_AT):
            yield from self._fit(some)
            before = some[-1][0]

    def _fit(self, jobs: Numbered) -> Iterator[int]:
        self._deadline.check()
        outputs = self._reader.outputs(jobs)
        for number, job in jobs:
            shown = self._shown(job.type, job.payload)
            seen = job if shown is job.payload else replace(job, payload=shown)
            if self._query.matches(seen, now=self._now, outputs=outputs.get(job.id, ())):
                yield number


def _one_after_the_other(first: Iterable[int], then: Callable[[], Iterator[int]]) -> Iterator[int]:
    yield from first
    yield from then()


def _needs(query: Query) -> tuple[set[str], bool]:
    """The heavy columns that a query looks at, and whether it looks at outputs."""
    kinds = {type(term) for term in query.terms()}
    needs = {"payload"} if kinds & {PayloadIs, Says} else set()
    return needs | ({"error"} if kinds & {ErrorSays, Says} else set()), Says in kinds


def _ids(node: Node) -> set[str] | None:
    """The ids that a query asks for, if nothing but these can fit."""
    if isinstance(node, Is) and node.field == "id":
        return {node.value}
    if isinstance(node, AllOf):
        for part in node.parts:
            if (found := _ids(part)) is not None:
                return found
    if isinstance(node, AnyOf):
        each = [_ids(part) for part in node.parts]
        return None if None in each else {job_id for ids in each for job_id in ids or ()}
    return None
