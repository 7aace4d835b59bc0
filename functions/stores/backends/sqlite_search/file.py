"""The file of the search index: its layout, how far it has come, and when it has to be made anew."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contracts.log_fields import about

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


@dataclass(frozen=True, slots=True)
class Progress:
    """Every job in a block from `first_block` on is indexed as it was at `position` of the feed, or newer."""

    position: int
    first_block: int


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


def progress(connection: sqlite3.Connection) -> Progress:
    return Progress(*connection.execute("SELECT position, first_block FROM progress").fetchone())


def set_progress(connection: sqlite3.Connection, reached: Progress) -> None:
    connection.execute("UPDATE progress SET position = ?, first_block = ?", (reached.position, reached.first_block))
