"""A query over the search index: for each block of jobs, which surely fit, and which may.

Most terms are known exactly. Where the index holds less than the term asks (three words that follow each other, a value
that was cut, an error that changed), the sets are bounds, and what lies between them is looked at job by job.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from contracts.query.syntax import AllOf, AnyOf, Compare, ErrorSays, Is, Node, Not, PayloadIs, Says
from contracts.query.words import value_key, words
from functions.stores.search import entries as terms
from functions.stores.search.bits import BLOCK, Compared, below, decode
from functions.stores.search.rows import IndexRows

Bounds = tuple[int, int]  # the jobs that surely fit, and those that may
Part = Callable[[int, int], Bounds]  # block, the jobs in it that are asked about -> bounds
NONE: Bounds = (0, 0)
_LABELS = ("state", "type", "queue")


FIRST_BLOCKS, MOST_BLOCKS = 4, 128  # read at once: few for a page of what is common, all soon for what is rare


class Index:
    """The index within one snapshot. Blocks are asked for from the newest down, and read ahead."""

    def __init__(self, rows: IndexRows) -> None:
        self._rows = rows
        self._labels: dict[str, dict[int, bytes]] = {}
        self._words, self._slices = _Ahead(rows.words), _Ahead(rows.slices)
        self._compared: dict[tuple[str, int], Compared] = {}
        self.jobs = self.label(terms.ALL)

    def blocks_down(self, before: int) -> list[int]:
        """The blocks that have jobs with numbers below `before`, newest first."""
        found = sorted((block for block in self.jobs if block * BLOCK < before), reverse=True)
        self._words.go_down(found)
        self._slices.go_down(found)
        return found

    def everything(self, block: int) -> int:
        """Every job of a block."""
        return decode(self.jobs[block])

    def label(self, term: str) -> dict[int, bytes]:
        found = self._labels.get(term)
        if found is None:
            found = self._labels[term] = self._rows.label(term)
        return found

    def word(self, block: int, term: str) -> int:
        data = self._words.get(term, block)
        return decode(data) if data is not None else 0

    def numbers(self, kind: str, block: int) -> Compared | None:
        found = self._compared.get((kind, block))
        if found is None and (data := self._slices.get(kind, block)) is not None:
            found = self._compared[kind, block] = Compared(data)
        return found


class _Ahead:
    """Rows by a key and a block, read some blocks at a time: each statement has its price, whatever it reads."""

    def __init__(self, read: Callable[[Sequence[int], str], dict[int, bytes]]) -> None:
        self._read_rows = read
        self._known: dict[str, dict[int, bytes]] = {}
        self._read: dict[str, tuple[int, int]] = {}  # up to which of `blocks`, and how many at a time
        self._places: dict[int, int] = {}
        self._blocks: list[int] = []

    def go_down(self, blocks: list[int]) -> None:
        """The blocks that will be asked for, in this order, or some of them."""
        self._blocks, self._places = blocks, {block: place for place, block in enumerate(blocks)}

    def get(self, key: str, block: int) -> bytes | None:
        known = self._known.setdefault(key, {})
        upto, size = self._read.get(key, (0, FIRST_BLOCKS))
        if (place := self._places[block]) >= upto:
            known.update(self._read_rows(self._blocks[place : place + size], key))
            self._read[key] = place + size, min(size * 3, MOST_BLOCKS)
        return known.get(block)


class Planner:
    """Turns the tree of a query into functions over the index.

    `number_of` finds a job's number by its id and says whether it is its family's first; `first_since` the lowest number
    that was accepted at an instant or later, but for `disorder_micros`.
    """

    def __init__(
        self, index: Index, now: int, number_of: Callable[[str], tuple[int, bool] | None], first_since: Callable[[int], int], disorder_micros: int
    ) -> None:
        self._index, self._now, self._number_of, self._first_since, self._disorder = index, now, number_of, first_since, disorder_micros

    def part(self, node: Node) -> Part:
        """The function of a tree; terms that leave few jobs come first, and what is decided is not read further."""
        if isinstance(node, Not):
            return _negation(self.part(node.part))
        if isinstance(node, AllOf):
            return _conjunction([self.part(part) for part in sorted(node.parts, key=_effort)])
        if isinstance(node, AnyOf):
            return _disjunction([self.part(part) for part in sorted(node.parts, key=_effort)])
        if isinstance(node, Is):
            return self._exact(node)
        if isinstance(node, Compare):
            return self._age(node) if node.field == "age" else self._number(node)
        if isinstance(node, PayloadIs):
            return self._value(node)
        return self._error(words(node.text)) if isinstance(node, ErrorSays) else self._says(node)

    def _exact(self, term: Is) -> Part:
        if term.field == "id":
            return self._job(term.value)
        if term.field in _LABELS:
            return self._label(terms.exact_term(term.field, term.value))
        one = self._word(terms.exact_term(term.field, term.value))
        return one if term.field != "root" else _disjunction([self._job(term.value, root=True), one])

    def _job(self, job_id: str, *, root: bool = False) -> Part:
        found = self._number_of(job_id)
        if found is None or (root and not found[1]):
            return lambda block, every: NONE
        home, bit = found[0] // BLOCK, 1 << found[0] % BLOCK
        return lambda block, every: (bit, bit) if block == home else NONE

    def _label(self, term: str) -> Part:
        found = self._index.label(term)

        def bounds(block: int, every: int) -> Bounds:
            data = found.get(block)
            if data is None:
                return NONE
            bits = decode(data)
            return bits, bits

        return bounds

    def _word(self, term: str) -> Part:
        def bounds(block: int, every: int) -> Bounds:
            bits = self._index.word(block, term)
            return bits, bits

        return bounds

    def _age(self, term: Compare) -> Part:
        instant = self._now - term.value + (term.operator in (">=", "<"))  # numbers below were accepted before
        low, high = (self._first_since(instant + off) for off in (-self._disorder, self._disorder))
        is_older = term.operator[0] == ">"

        def bounds(block: int, every: int) -> Bounds:
            before, perhaps_before = every & below(low, block), every & below(high, block)
            return (before, perhaps_before) if is_older else (every & ~perhaps_before, every & ~before)

        return bounds

    def _number(self, term: Compare) -> Part:
        running = self._label(terms.exact_term("state", "running")) if term.field == "duration" else None

        def bounds(block: int, every: int) -> Bounds:
            numbers = self._index.numbers(term.field, block)
            bits = numbers.compare(term.operator, term.value, every) if numbers is not None else 0
            if running is None:
                return bits, bits
            unsure = running(block, every)[1]  # their time goes on
            return bits & ~unsure, bits | unsure

        return bounds

    def _value(self, term: PayloadIs) -> Part:
        written = terms.value_term(term.path, value_key(term.value))
        return _unsure(self._word(written)) if len(written) == terms.LONGEST_KEY else self._word(written)

    def _phrase(self, wanted: Sequence[str], written: Callable[[str], str]) -> Part:
        if len(wanted) <= 2:
            return self._word(written(" ".join(wanted)))
        pairs = dict.fromkeys(f"{one} {other}" for one, other in pairwise(wanted))
        return _unsure(_conjunction([self._word(written(pair)) for pair in pairs]))

    def _error(self, wanted: Sequence[str]) -> Part:
        now_has, changed = self._label(terms.ERROR), self._label(terms.UNSURE)
        said = self._phrase(wanted, terms.error_term)

        def bounds(block: int, every: int) -> Bounds:
            has = now_has(block, every)[1]
            if not has:
                return NONE
            surely, perhaps = said(block, every)
            return surely & has & ~changed(block, every)[1] if surely else 0, perhaps & has

        return bounds

    def _says(self, term: Says) -> Part:
        wanted = words(term.text)
        return _disjunction([self._job(term.text.lower()), self._phrase(wanted, terms.word_term), self._error(wanted)])


def _negation(part: Part) -> Part:
    def bounds(block: int, every: int) -> Bounds:
        surely, perhaps = part(block, every)
        return every & ~perhaps, every & ~surely

    return bounds


def _conjunction(parts: Sequence[Part]) -> Part:
    def bounds(block: int, every: int) -> Bounds:
        surely, perhaps = every, every
        for part in parts:
            one, other = part(block, perhaps)
            surely, perhaps = surely & one, perhaps & other
            if not perhaps:
                return NONE
        return surely, perhaps

    return bounds


def _disjunction(parts: Sequence[Part]) -> Part:
    def bounds(block: int, every: int) -> Bounds:
        surely, perhaps = 0, 0
        for part in parts:
            one, other = part(block, every)
            surely, perhaps = surely | one, perhaps | other
        return surely & every, perhaps & every

    return bounds


def _unsure(part: Part) -> Part:
    return lambda block, every: (0, part(block, every)[1])


_EFFORTS = {Is: 1, PayloadIs: 1, ErrorSays: 2, Says: 3, Compare: 4}


def _effort(node: Node) -> int:
    """What it costs to look at, roughly; a group costs what its parts cost."""
    if isinstance(node, Not):
        return 5 + _effort(node.part)
    if isinstance(node, AllOf | AnyOf):
        return 5 + sum(map(_effort, node.parts))
    return 0 if isinstance(node, Compare) and node.field == "age" else _EFFORTS[type(node)]
