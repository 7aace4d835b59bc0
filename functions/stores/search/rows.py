"""What the search needs of a store: rows of jobs, and rows of the index. Each object sees one moment, or writes one step."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.job import Job

Numbered = list[tuple[int, Job]]  # jobs with their numbers, newest first


@dataclass(frozen=True, slots=True)
class Progress:
    """Every job in a block from `first_block` on is indexed as it was at `position` of the feed, or newer."""

    position: int
    first_block: int


class Looker(Protocol):
    """Loads of jobs what a query looks at, and no more."""

    def of(self, numbers: Iterable[int]) -> Numbered: ...
    def below(self, before: int, limit: int) -> Numbered:
        """The newest below a number."""

    def outputs(self, jobs: Numbered) -> dict[str, list[str]]:
        """Job id -> what its attempts printed; empty when nobody asks."""


class JobRows(Protocol):
    @property
    def disorder_micros(self) -> int:
        """How much later than its acceptance a job may have drawn its number: within that, numbers say nothing of what came first."""

    def head(self) -> int:
        """The position of the last event."""

    def next_number(self) -> int:
        """One more than the number of the newest job."""

    def changed_since(self, position: int, first: int, before: int) -> list[int]:
        """The numbers, newest first, of jobs with an event past a position, from `first` up to `before`."""

    def changes_after(self, position: int, limit: int) -> tuple[int, list[str]]:
        """The position of the last of the next events, and the ids of their jobs."""

    def number_of(self, job_id: str) -> tuple[int, bool] | None:
        """A job's number, and whether it is the first of its family."""

    def numbers_of(self, ids: Collection[str], before: int) -> list[int]:
        """The numbers of jobs by their ids, newest first, below `before`."""

    def first_since(self, instant: int) -> int:
        """A number below which jobs were accepted before the instant, and from which on later or then, but for disorder_micros."""

    def there_in(self, block: int) -> list[int]:
        """The offsets of a block's jobs that are there."""

    def dropped(self) -> int:
        """How many jobs retention dropped, ever."""

    def load(self, numbers: Iterable[int]) -> Numbered:
        """Those that are there, whole."""

    def states(self, numbers: Iterable[int]) -> list[tuple[str, str]]:
        """(id, status) of those that are there, newest first."""

    def looker(self, needs: Collection[str], *, outputs: bool) -> Looker:
        """`needs` are the heavy columns, `outputs` what attempts printed."""

    def raw_of(self, ids: Iterable[str]) -> list[Sequence[Any]]:
        """What an entry is made of (entries.RAW), of jobs by their ids; those that are gone are passed over."""

    def raw_between(self, first: int, end: int) -> list[Sequence[Any]]:
        """The same by numbers, `end` not among them."""


class IndexRows(Protocol):
    """Bits by a term (a label, a word or a kind of number) and a block."""

    def progress(self) -> Progress: ...
    def label(self, term: str) -> dict[int, bytes]:
        """block -> bits of a term that many jobs share."""

    def words(self, blocks: Sequence[int], term: str) -> dict[int, bytes]: ...
    def slices(self, blocks: Sequence[int], kind: str) -> dict[int, bytes]: ...


class IndexWriter(IndexRows, Protocol):
    def step(self) -> AbstractContextManager[None]:
        """All that is written within it, or nothing."""

    def labels_in(self, block: int, terms: Collection[str]) -> dict[str, bytes]:
        """term -> bits, of one block."""

    def put_labels(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        """(term, block, bits), in place of what was there."""

    def put_slices(self, kind: str, block: int, bits: bytes) -> None: ...
    def add_words(self, block: int, rows: Sequence[tuple[str, bytes]]) -> None:
        """(term, bits), together with what is there."""

    def drop_block(self, block: int) -> None: ...
    def blocks(self) -> list[int]:
        """The blocks that the index holds, the newest first."""

    def set_progress(self, reached: Progress) -> None: ...
    def close(self) -> None: ...
