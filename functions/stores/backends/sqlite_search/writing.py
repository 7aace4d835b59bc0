"""Writes entries into the search index, block by block."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

from contracts.query.fields import STATES
from functions.stores.backends.sqlite_database import write_rows
from functions.stores.backends.sqlite_search.bits import BLOCK, Slices, decode, merge, pack, set_of, wide
from functions.stores.backends.sqlite_search.entries import ALL, ERRED, ERROR, UNSURE, Entry, exact_term

STATE_TERMS = tuple(exact_term("state", state) for state in STATES)
_UPSERT_WORD = "INSERT INTO words (block, term, bits)"
_ON_CONFLICT = "ON CONFLICT (block, term) DO UPDATE SET bits = merge_bits(bits, excluded.bits)"


def prepare(connection: sqlite3.Connection) -> None:
    """Gives a writing connection the function that the statements here use."""
    connection.create_function("merge_bits", 2, merge, deterministic=True)


def write(connection: sqlite3.Connection, entries: Sequence[Entry], first_block: int = 0) -> None:
    """Puts entries in, or replaces those that are there; blocks below `first_block` are left out. Inside a transaction."""
    blocks: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.number // BLOCK >= first_block:
            blocks[entry.number // BLOCK].append(entry)
    for block, members in sorted(blocks.items()):
        known = _write_labels(connection, block, members)
        _write_slices(connection, block, members)
        _write_words(connection, block, members, known)


def _write_labels(connection: sqlite3.Connection, block: int, entries: Sequence[Entry]) -> int:
    """Returns the jobs of the block that were there before."""
    fresh: dict[str, int] = defaultdict(int)
    for entry in entries:
        bit = 1 << entry.number % BLOCK
        for term in (ALL, exact_term("state", entry.state), exact_term("type", entry.type), exact_term("queue", entry.queue)):
            fresh[term] |= bit
        if entry.has_error:
            fresh[ERROR] |= bit
    changed = fresh[ALL]
    old = _labels(connection, block, {*fresh, *STATE_TERMS, ERROR, ERRED, UNSURE})
    new = {term: old.get(term, 0) | bits for term, bits in fresh.items()}
    for term in (*STATE_TERMS, ERROR):
        new[term] = old.get(term, 0) & ~changed | fresh.get(term, 0)
    new[UNSURE] = old.get(UNSURE, 0) | old.get(ERRED, 0) & fresh.get(ERROR, 0)
    new[ERRED] = old.get(ERRED, 0) | fresh.get(ERROR, 0)
    rows = [(term, block, wide(bits)) for term, bits in new.items() if bits != old.get(term, 0)]
    write_rows(connection, "INSERT OR REPLACE INTO labels (term, block, bits)", rows)
    return old.get(ALL, 0)


def _labels(connection: sqlite3.Connection, block: int, terms: Iterable[str]) -> dict[str, int]:
    wanted = list(terms)
    sql = f"SELECT term, bits FROM labels WHERE term IN ({','.join('?' * len(wanted))}) AND block = ?"
    return {term: decode(bits) for term, bits in connection.execute(sql, (*wanted, block)).fetchall()}


def _write_slices(connection: sqlite3.Connection, block: int, entries: Sequence[Entry]) -> None:
    changed = set_of(entry.number % BLOCK for entry in entries)
    attempts = {entry.number % BLOCK: entry.attempt for entry in entries}
    durations = {entry.number % BLOCK: entry.duration for entry in entries if entry.duration is not None}
    for kind, values in (("attempt", attempts), ("duration", durations)):
        row = connection.execute("SELECT bits FROM slices WHERE kind = ? AND block = ?", (kind, block)).fetchone()
        slices = Slices.decode(row[0]) if row is not None else Slices()
        slices.put(changed, values)
        connection.execute("INSERT OR REPLACE INTO slices (kind, block, bits) VALUES (?, ?, ?)", (kind, block, slices.encode()))


def _write_words(connection: sqlite3.Connection, block: int, entries: Sequence[Entry], known: int) -> None:
    """What never changes is written once: for a job that is there already, only what was said since."""
    terms: dict[str, list[int]] = defaultdict(list)
    for entry in entries:
        offset = entry.number % BLOCK
        for term in entry.said if known >> offset & 1 else entry.said | entry.lasting:
            terms[term].append(offset)
    write_rows(connection, _UPSERT_WORD, [(block, term, pack(terms[term])) for term in sorted(terms)], _ON_CONFLICT)


def keep_only(connection: sqlite3.Connection, block: int, offsets: Iterable[int]) -> int:
    """Forgets the jobs of a block that are not at these offsets; returns how many. A block without jobs goes whole."""
    found = _labels(connection, block, [ALL]).get(ALL, 0)
    left = found & set_of(offsets)
    if left == found:
        return 0
    if left:
        connection.execute("UPDATE labels SET bits = ? WHERE term = ? AND block = ?", (wide(left), ALL, block))
    else:
        connection.execute("DELETE FROM words WHERE block = ?", (block,))
        connection.execute("DELETE FROM slices WHERE block = ?", (block,))
        connection.execute("DELETE FROM labels WHERE block = ?", (block,))
    return (found ^ left).bit_count()


def blocks(connection: sqlite3.Connection) -> list[int]:
    """The blocks that the index holds, the newest first."""
    return [block for (block,) in connection.execute("SELECT block FROM labels WHERE term = ? ORDER BY block DESC", (ALL,)).fetchall()]
