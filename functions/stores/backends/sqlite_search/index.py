"""The file of the search index: its layout, its rows, and when it has to be made anew."""

import contextlib
import logging
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import orjson

from contracts.log_fields import about
from functions.stores.backends.sqlite_database import write_rows
from functions.stores.search.bits import merge
from functions.stores.search.entries import ALL
from functions.stores.search.rows import Progress

log = logging.getLogger("observatory.search")

FORMAT = 1  # raise it when what is indexed changes: an index of another format is made anew
_LAYOUT = """
CREATE TABLE IF NOT EXISTS progress (      -- one row: up to which position it has followed the feed, and which blocks it holds
    only INTEGER PRIMARY KEY CHECK (only = 1),
    made_of TEXT NOT NULL,                 -- format, deployment and version of what may be seen
    position INTEGER NOT NULL,             -- every job is as it was at this position, or newer
    first_block INTEGER NOT NULL           -- blocks below are not there yet
);
CREATE TABLE IF NOT EXISTS labels (        -- terms that many jobs share: read whole, so ordered by term
    term TEXT NOT NULL,
    block INTEGER NOT NULL,
    bits BLOB NOT NULL,
    PRIMARY KEY (term, block)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS words (         -- all others: ordered by block, so that what is written lies together
    block INTEGER NOT NULL,
    term TEXT NOT NULL,
    bits BLOB NOT NULL,
    PRIMARY KEY (block, term)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slices (        -- numbers to compare with: attempt, duration
    kind TEXT NOT NULL,
    block INTEGER NOT NULL,
    bits BLOB NOT NULL,
    PRIMARY KEY (kind, block)
) WITHOUT ROWID;
"""
TABLES = ("labels", "words", "slices")


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the file; it is made when it is not there."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=5.0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last steps, which are then taken again
    connection.execute("PRAGMA cache_size = -8192")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    return connection


def open_index(path: Path, made_of: str, start: Progress, head: int) -> sqlite3.Connection:
    """The index of just this store, or an empty one that begins at `start`. A broken or foreign file is replaced."""
    try:
        connection = connect(path)
        connection.executescript(_LAYOUT)
        row = connection.execute("SELECT made_of, position FROM progress").fetchone()
    except sqlite3.DatabaseError as error:
        log.warning("the search index %s is not usable (%s): it is made anew", path, error, extra=about("search.remade"))
        remove(path)
        connection = connect(path)
        connection.executescript(_LAYOUT)
        row = None
    if row is None or row[0] != made_of or row[1] > head:
        clear(connection, made_of, start)
    return connection


def remove(path: Path) -> None:
    """Deletes the file and what belongs to it."""
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()


def clear(connection: sqlite3.Connection, made_of: str, start: Progress) -> None:
    """Empties the index."""
    with transaction(connection):
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")
        connection.execute("INSERT OR REPLACE INTO progress VALUES (1, ?, ?, ?)", (made_of, start.position, start.first_block))


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class SqliteIndexRows:
    """The rows of the index that `connection` sees, and writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.create_function("merge_bits", 2, merge, deterministic=True)

    # ---- reading ----------------------------------------------------------------------------------------------

    def progress(self) -> Progress:
        return Progress(*self._connection.execute("SELECT position, first_block FROM progress").fetchone())

    def label(self, term: str) -> dict[int, bytes]:
        return dict(self._connection.execute("SELECT block, bits FROM labels WHERE term = ?", (term,)).fetchall())

    def words(self, blocks: Sequence[int], term: str) -> dict[int, bytes]:
        sql = "SELECT block, bits FROM words WHERE block IN (SELECT value FROM json_each(?)) AND term = ?"
        return dict(self._connection.execute(sql, (_json(blocks), term)).fetchall())

    def slices(self, blocks: Sequence[int], kind: str) -> dict[int, bytes]:
        sql = "SELECT block, bits FROM slices WHERE block IN (SELECT value FROM json_each(?)) AND kind = ?"
        return dict(self._connection.execute(sql, (_json(blocks), kind)).fetchall())

    def labels_in(self, block: int, terms: Collection[str]) -> dict[str, bytes]:
        sql = "SELECT term, bits FROM labels WHERE term IN (SELECT value FROM json_each(?)) AND block = ?"
        return dict(self._connection.execute(sql, (_json(terms), block)).fetchall())

    def blocks(self) -> list[int]:
        found = self._connection.execute("SELECT block FROM labels WHERE term = ? ORDER BY block DESC", (ALL,)).fetchall()
        return [block for (block,) in found]

    # ---- writing ----------------------------------------------------------------------------------------------

    def step(self) -> AbstractContextManager[None]:
        return transaction(self._connection)

    def put_labels(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        write_rows(self._connection, "INSERT OR REPLACE INTO labels (term, block, bits)", rows)

    def put_slices(self, kind: str, block: int, bits: bytes) -> None:
        self._connection.execute("INSERT OR REPLACE INTO slices (kind, block, bits) VALUES (?, ?, ?)", (kind, block, bits))

    def add_words(self, block: int, rows: Sequence[tuple[str, bytes]]) -> None:
        write_rows(self._connection, _UPSERT_WORD, [(block, term, bits) for term, bits in rows], _ON_CONFLICT)

    def drop_block(self, block: int) -> None:
        for table in TABLES:
            self._connection.execute(f"DELETE FROM {table} WHERE block = ?", (block,))

    def set_progress(self, reached: Progress) -> None:
        self._connection.execute("UPDATE progress SET position = ?, first_block = ?", (reached.position, reached.first_block))

    def close(self) -> None:
        self._connection.close()


_UPSERT_WORD = "INSERT INTO words (block, term, bits)"
_ON_CONFLICT = "ON CONFLICT (block, term) DO UPDATE SET bits = merge_bits(bits, excluded.bits)"


def _json(values: Iterable[object]) -> str:
    return orjson.dumps(list(values)).decode()
