"""What the job store's tables say to the search."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from functions.stores.backends.postgres_rows import uuids
from functions.stores.backends.postgres_search.link import ThreadLink
from functions.stores.rows import job_of
from functions.stores.search.bits import BLOCK
from functions.stores.search.rows import Numbered

DISORDER_MICROS = 10_000_000  # a transaction's instant is at most that much before it draws its jobs' numbers


class PostgresJobRows:
    """The rows that `link` sees."""

    disorder_micros = DISORDER_MICROS

    def __init__(self, link: ThreadLink) -> None:
        self._link = link

    def _one(self, name: str, /, **values: Any) -> int:
        return int(self._link.rows(name, **values)[0][0])

    def head(self) -> int:
        return self._one("head")

    def next_number(self) -> int:
        return self._one("next_number")

    def dropped(self) -> int:
        return self._one("dropped_jobs")

    def first_since(self, instant: int) -> int:
        return self._one("first_since", instant=instant)

    def changed_since(self, position: int, first: int, before: int) -> list[int]:
        return [row[0] for row in self._link.rows("changed_since", position=position, first=first, before=before)]

    def changes_after(self, position: int, limit: int) -> tuple[int, list[str]]:
        ((last, ids),) = self._link.rows("changes_after", position=position, limit=limit)
        return last or position, ids

    def number_of(self, job_id: str) -> tuple[int, bool] | None:
        rows = self._link.rows("number_of", ids=uuids([job_id]))
        return (rows[0][0], rows[0][1]) if rows else None

    def numbers_of(self, ids: Collection[str], before: int) -> list[int]:
        return [row[0] for row in self._link.rows("numbers_of", ids=uuids(ids), before=before)]

    def there_in(self, block: int) -> list[int]:
        first = block * BLOCK
        return [row[0] - first for row in self._link.rows("numbers_between", first=first, end=first + BLOCK)]

    def load(self, numbers: Iterable[int]) -> Numbered:
        return _numbered(self._link.rows("jobs_at", numbers=list(numbers)))

    def states(self, numbers: Iterable[int]) -> list[tuple[str, str]]:
        return self._link.rows("states_at", numbers=list(numbers))

    def newest(self, before: int, limit: int) -> Numbered:
        return _numbered(self._link.rows("jobs_before", before=before, limit=limit))

    def looker(self, needs: Collection[str], *, outputs: bool) -> "PostgresLooker":
        return PostgresLooker(self, self._link, outputs=outputs)

    def raw_of(self, ids: Iterable[str]) -> list[Sequence[Any]]:
        return _raw(self._link.rows("raw_of", ids=uuids(ids)))

    def raw_between(self, first: int, end: int) -> list[Sequence[Any]]:
        return _raw(self._link.rows("raw_between", first=first, end=end))


class PostgresLooker:
    """Loads what a query looks at. Large payloads lie outside of the row and come with it all the same: so they are compared whole."""

    def __init__(self, jobs: PostgresJobRows, link: ThreadLink, *, outputs: bool) -> None:
        self._jobs, self._link, self._outputs = jobs, link, outputs

    def of(self, numbers: Iterable[int]) -> Numbered:
        return self._jobs.load(numbers)

    def below(self, before: int, limit: int) -> Numbered:
        return self._jobs.newest(before, limit)

    def outputs(self, jobs: Numbered) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        if self._outputs:
            for job_id, output in self._link.rows("outputs", ids=uuids(job.id for _, job in jobs)):
                found.setdefault(job_id, []).append(bytes(output).decode())
        return found


def _numbered(rows: Iterable[Sequence[Any]]) -> Numbered:
    return [(row[0], job_of(row[1:])) for row in rows]


def _raw(rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
    return [(*row[:-1], [bytes(output).decode() for output in row[-1]]) for row in rows]
