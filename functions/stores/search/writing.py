"""Writes entries into the search index, block by block."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from contracts.query.fields import STATES
from functions.stores.search.bits import BLOCK, Slices, decode, pack, set_of, wide
from functions.stores.search.entries import ALL, ERRED, ERROR, UNSURE, Entry, exact_term
from functions.stores.search.rows import IndexWriter

STATE_TERMS = tuple(exact_term("state", state) for state in STATES)


def write(index: IndexWriter, entries: Sequence[Entry], first_block: int = 0) -> None:
    """Puts entries in, or replaces those that are there; blocks below `first_block` are left out. Inside a transaction."""
    blocks: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.number // BLOCK >= first_block:
            blocks[entry.number // BLOCK].append(entry)
    for block, members in sorted(blocks.items()):
        known = _write_labels(index, block, members)
        _write_slices(index, block, members)
        _write_words(index, block, members, known)


def _write_labels(index: IndexWriter, block: int, entries: Sequence[Entry]) -> int:
    """Returns the jobs of the block that were there before."""
    fresh: dict[str, int] = defaultdict(int)
    for entry in entries:
        bit = 1 << entry.number % BLOCK
        for term in (ALL, exact_term("state", entry.state), exact_term("type", entry.type), exact_term("queue", entry.queue)):
            fresh[term] |= bit
        if entry.has_error:
            fresh[ERROR] |= bit
    changed = fresh[ALL]
    old = _labels(index, block, {*fresh, *STATE_TERMS, ERROR, ERRED, UNSURE})
    new = {term: old.get(term, 0) | bits for term, bits in fresh.items()}
    for term in (*STATE_TERMS, ERROR):
        new[term] = old.get(term, 0) & ~changed | fresh.get(term, 0)
    new[UNSURE] = old.get(UNSURE, 0) | old.get(ERRED, 0) & fresh.get(ERROR, 0)
    new[ERRED] = old.get(ERRED, 0) | fresh.get(ERROR, 0)
    rows = [(term, block, wide(bits)) for term, bits in new.items() if bits != old.get(term, 0)]
    index.put_labels(rows)
    return old.get(ALL, 0)


def _labels(index: IndexWriter, block: int, terms: Iterable[str]) -> dict[str, int]:
    return {term: decode(bits) for term, bits in index.labels_in(block, set(terms)).items()}


def _write_slices(index: IndexWriter, block: int, entries: Sequence[Entry]) -> None:
    changed = set_of(entry.number % BLOCK for entry in entries)
    attempts = {entry.number % BLOCK: entry.attempt for entry in entries}
    durations = {entry.number % BLOCK: entry.duration for entry in entries if entry.duration is not None}
    for kind, values in (("attempt", attempts), ("duration", durations)):
        data = index.slices([block], kind).get(block)
        slices = Slices.decode(data) if data is not None else Slices()
        slices.put(changed, values)
        index.put_slices(kind, block, slices.encode())


def _write_words(index: IndexWriter, block: int, entries: Sequence[Entry], known: int) -> None:
    """What never changes is written once: for a job that is there already, only what was said since."""
    terms: dict[str, list[int]] = defaultdict(list)
    for entry in entries:
        offset = entry.number % BLOCK
        for term in entry.said if known >> offset & 1 else entry.said | entry.lasting:
            terms[term].append(offset)
    index.add_words(block, [(term, pack(terms[term])) for term in sorted(terms)])


def keep_only(index: IndexWriter, block: int, offsets: Iterable[int]) -> int:
    """Forgets the jobs of a block that are not at these offsets; returns how many. A block without jobs goes whole."""
    found = _labels(index, block, [ALL]).get(ALL, 0)
    left = found & set_of(offsets)
    if left == found:
        return 0
    if left:
        index.put_labels([(ALL, block, wide(left))])
    else:
        index.drop_block(block)
    return (found ^ left).bit_count()
