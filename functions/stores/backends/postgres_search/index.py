"""The rows of the search index in PostgreSQL."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager

from functions.stores.backends.postgres_search.link import ThreadLink
from functions.stores.search.bits import merge
from functions.stores.search.entries import ALL
from functions.stores.search.rows import Progress


class PostgresIndexRows:
    """The rows that `link` sees, and writes."""

    def __init__(self, link: ThreadLink) -> None:
        self._link = link

    # ---- reading ----------------------------------------------------------------------------------------------

    def made_of(self) -> str | None:
        """What the index was made of; None while there is none."""
        rows = self._link.rows("index_progress")
        return rows[0][2] if rows else None

    def progress(self) -> Progress:
        ((position, first_block, _),) = self._link.rows("index_progress")
        return Progress(position, first_block)

    def label(self, term: str) -> dict[int, bytes]:
        return dict(self._link.rows("index_label", term=term.encode()))

    def words(self, blocks: Sequence[int], term: str) -> dict[int, bytes]:
        return dict(self._link.rows("index_words", blocks=list(blocks), term=term.encode()))

    def slices(self, blocks: Sequence[int], kind: str) -> dict[int, bytes]:
        return dict(self._link.rows("index_slices", blocks=list(blocks), kind=kind))

    def labels_in(self, block: int, terms: Collection[str]) -> dict[str, bytes]:
        rows = self._link.rows("index_labels_in", block=block, terms=[term.encode() for term in terms])
        return {term.decode(): bits for term, bits in rows}

    def blocks(self) -> list[int]:
        return [row[0] for row in self._link.rows("index_blocks", term=ALL.encode())]

    # ---- writing ----------------------------------------------------------------------------------------------

    def step(self) -> AbstractContextManager[None]:
        return self._link.step()

    def begin(self, made_of: str, start: Progress) -> None:
        """Empties the index."""
        with self.step():
            self._link.rows("empty_index")
            self._link.rows("begin_index", made_of=made_of, position=start.position, first_block=start.first_block)

    def put_labels(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        terms, blocks, bits = ([row[column] for row in rows] for column in range(3))
        self._link.rows("put_labels", terms=[str(term).encode() for term in terms], blocks=blocks, bits=bits)

    def put_slices(self, kind: str, block: int, bits: bytes) -> None:
        self._link.rows("put_slices", kind=kind, block=block, bits=bits)

    def add_words(self, block: int, rows: Sequence[tuple[str, bytes]]) -> None:
        """One process writes at a time, so what is there is read, and written with what is new."""
        fresh = {term.encode(): bits for term, bits in rows}
        known = dict(self._link.rows("index_words_in", block=block, terms=list(fresh)))
        both = [merge(known[term], bits) if term in known else bits for term, bits in fresh.items()]
        self._link.rows("put_words", block=block, terms=list(fresh), bits=both)

    def drop_block(self, block: int) -> None:
        self._link.rows("drop_block", block=block)

    def set_progress(self, reached: Progress) -> None:
        self._link.rows("set_index_progress", position=reached.position, first_block=reached.first_block)

    def close(self) -> None:
        self._link.close()
