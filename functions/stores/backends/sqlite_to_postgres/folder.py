"""The folder's file as it lies there: one snapshot of it, read in pieces."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.errors import ConfigurationError
from functions.stores.backends.sqlite_database import MIGRATIONS, one
from functions.stores.backends.sqlite_to_postgres.parts import PARTS, Part

ROWS = 2_000
BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder holds. A folder on which a system has worked since holds something else."""

    head: int
    dropped: int
    rows: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        return {"head": self.head, "dropped": self.dropped, "rows": self.rows}


class Folder:
    """The data file `path`, of which nobody makes use meanwhile."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection
        self.source = str(one(connection, "SELECT source FROM deployment"))
        self.made_at = int(one(connection, "SELECT made_at FROM deployment"))

    def found(self) -> Found:
        head = one(self._connection, "SELECT seq FROM sqlite_sequence WHERE name = 'events'") or 0
        dropped = one(self._connection, "SELECT max(position) FROM checkpoints") or 0
        return Found(head, dropped, {part.name: one(self._connection, part.counted()) for part in PARTS})

    def read(self, part: Part, after: Sequence[Any] | None) -> list[Sequence[Any]]:
        """The next rows after a key (None: the first); none at the end."""
        rows: list[Sequence[Any]] = []
        size = 0
        cursor = self._connection.execute(part.read(from_start=after is None), (*(after or ()), ROWS))
        for row in cursor:
            rows.append(row)
            size += sum(len(value) for value in row if isinstance(value, str | bytes))
            if size > BYTES:
                break
        cursor.close()
        return rows


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """Raises ConfigurationError for a file of another layout, or one that cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=5.0)) as connection:
            known, newest = connection.execute("PRAGMA user_version").fetchone()[0], _newest()
            if known > newest:
                raise ConfigurationError(f"{path} has layout {known}, and this version knows layouts up to {newest}: use the version that wrote it")
            if known < newest:
                raise ConfigurationError(f"{path} has layout {known}, and {newest} is needed: start this version on it once (make run) and stop it again")
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            yield Folder(path, connection)
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def _newest() -> int:
    return max(int(step.name.split("-")[0]) for step in MIGRATIONS.glob("[0-9]*.sql"))
