"""What SQLite's one writer knows without asking."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from functions.stores.backends.sqlite_database import one


@dataclass(slots=True)
class QueueRow:
    """A queue as the claim needs it."""

    max_running: int | None
    rate_per_second: float | None
    paused: bool
    tokens: float
    tokens_at: int


@dataclass(slots=True)
class WriterState:
    """What the one writer knows without asking: the next numbers, the counts, the queues."""

    next_number: int = 1
    next_position: int = 1
    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)  # queue -> jobs
    queues: dict[str, QueueRow] = field(default_factory=dict)
    has_edges: bool = False
    seen: dict[tuple[str, str], int] = field(default_factory=dict)  # (queue, worker) -> when it was written last
    numbers: dict[str, int] = field(default_factory=dict)  # job id -> number, of this transaction

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> "WriterState":
        counts = {(q, t, s): n for q, t, s, n in connection.execute("SELECT queue, type, status, jobs FROM counts")}
        running: dict[str, int] = defaultdict(int)
        for (queue, _, status), jobs in counts.items():
            if status == "running":
                running[queue] += jobs
        last_position = one(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'events'") or 0
        return cls(
            next_number=(one(connection, "SELECT max(number) FROM jobs") or 0) + 1,
            next_position=last_position + 1,
            counts=counts,
            running=dict(running),
            queues=load_queues(connection),
            has_edges=one(connection, "SELECT 1 FROM edges LIMIT 1") is not None,
        )

    def copy(self) -> "WriterState":
        """For one transaction; it replaces this one when that is committed."""
        return WriterState(
            self.next_number, self.next_position, dict(self.counts), dict(self.running), dict(self.queues), self.has_edges, dict(self.seen)
        )


def load_queues(connection: sqlite3.Connection) -> dict[str, QueueRow]:
    found = connection.execute("SELECT name, max_running, rate_per_second, paused, tokens, tokens_at FROM queues")
    return {name: QueueRow(limit, rate, bool(paused), tokens, at) for name, limit, rate, paused, tokens, at in found}


@dataclass(slots=True)
class StateWrite:
    """A write that is no move, and changes what the writer knows."""

    run: Callable[[sqlite3.Connection, WriterState], Any]
    lazy: bool = False


@dataclass(slots=True)
class SqlWrite:
    """A write that is no move: runs after the moves, in the same transaction."""

    run: Callable[[sqlite3.Connection], Any]
    lazy: bool = False
