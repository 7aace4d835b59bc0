"""What is carried: table by table, in the order of a key that both sides have.

Not among them: statistics, which are folded anew from the feed and the checkpoint; the search index, which follows the feed; workers
and instances, which are gone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.job import JOB_FIELDS
from functions.stores.backends.postgres_rows import plain
from functions.stores.job_store import STATISTICS_CURSOR

SPAN = 200  # events under one commit number
Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Part:
    """The table `name` on both sides. `columns` are SQLite's, in whose `key` order rows are read; `there` are PostgreSQL's, if they have
    other names; `turned` makes a row of theirs from one of ours."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    there: tuple[str, ...] = ()
    turned: Callable[[list[Any]], Row] | None = None
    where: str = "1"

    def counted(self) -> str:
        return f"SELECT count(*) FROM {self.name} WHERE {self.where}"

    def read(self, *, from_start: bool) -> str:
        """The next rows after a key. Takes the key's values, if not from the start, and how many."""
        key = ", ".join(self.key)
        after = "" if from_start else f" AND ({key}) > ({', '.join('?' * len(self.key))})"
        return f"SELECT {', '.join(self.columns)} FROM {self.name} WHERE {self.where}{after} ORDER BY {key} LIMIT ?"

    def key_of(self, row: Row) -> list[Any]:
        return [row[self.columns.index(name)] for name in self.key]

    def copied(self) -> str:
        return f"COPY observatory.{self.name} ({', '.join(self.there or self.columns)}) FROM STDIN"

    def row(self, row: Row) -> Row:
        """As PostgreSQL takes it. What a handler printed is bytes there; other text has no NUL."""
        values = [plain(value) if isinstance(value, str) and "\x00" in value else value for value in row]
        return values if self.turned is None else self.turned(values)


def _flags(*places: int) -> Callable[[list[Any]], Row]:
    """Columns that are 0 or 1 here and boolean there."""

    def turned(values: list[Any]) -> Row:
        for place in places:
            values[place] = bool(values[place])
        return values

    return turned


_JOB = ("number", *JOB_FIELDS)
_STATUS, _LEASE = _JOB.index("status"), _JOB.index("lease_until")


def _job(values: list[Any]) -> Row:
    """Nobody works on a running job any more: its lease has run out."""
    if values[_STATUS] == "running":
        values[_LEASE] = 0
    return values


def _event(values: list[Any]) -> Row:
    """A position is a commit number and a place in that commit."""
    commit, place = divmod(values[0] - 1, SPAN)
    return commit + 1, place, *values[1:]


def _of_deltas(name: str) -> tuple[Part, ...]:
    keys = {"states": ("queue", "type", "status"), "sums": ("minute", "queue", "type", "measure"), "buckets": ("minute", "queue", "type", "measure", "bucket")}
    value = {"states": "jobs", "sums": "value", "buckets": "count"}
    return tuple(Part(f"{name}_{part}", key, (*key, value[part])) for part, key in keys.items())


_OUTPUT = 10
_ATTEMPT = ("job_id", "lease_token", "attempt", "worker", "instance", "claimed_at", "started_at", "finished_at", "outcome", "error", "output")
_EVENT = ("stream", "sequence", "type", "time", "body")
_LETTER = ("id", "trigger", "source", "event_id", "event_type", "reason", "attempts", "content_type", "body", "headers", "kept_at", "status",
           "outcome", "position")  # fmt: skip
_BULK = ("id", "action", "query", "actor", "reason", "created_at", "matched", "state", "items")


class _Attempts(Part):
    """Their output keeps its NULs."""

    def row(self, row: Row) -> Row:
        values = list(super().row(row))
        values[_OUTPUT] = None if row[_OUTPUT] is None else row[_OUTPUT].encode()
        return values


PARTS: tuple[Part, ...] = (
    Part("events", ("position",), ("position", *_EVENT), ("commit_id", "place", *_EVENT), _event),
    Part("jobs", ("number",), _JOB, (), _job),
    _Attempts("attempts", ("job_id", "lease_token"), _ATTEMPT),
    Part("effects", ("job_id", "step"), ("job_id", "step", "lease_token", "value")),
    Part("edges", ("parent_id", "child_id"), ("parent_id", "child_id", "settled"), (), _flags(2)),
    Part("idempotency", ("key",), ("key", "job_id", "fingerprint", "created_at")),
    Part("gone", ("job_id",), ("job_id", "status", "finished_at")),
    Part("streams", ("stream",), ("stream", "sequence")),
    Part("queues", ("name",), ("name", "max_running", "rate_per_second", "paused", "paused_by", "paused_at", "tokens", "tokens_at"), (), _flags(3)),
    Part("schedules", ("name",), ("name", "definition", "paused", "next_at", "last_at", "last_job_id"), (), _flags(2)),
    Part("dead_letters", ("id",), _LETTER),
    Part("bulk_operations", ("id",), _BULK),
    Part("refusals", ("minute", "subject_type", "reason"), ("minute", "subject_type", "reason", "count", "samples", "told"), (), _flags(5)),
    Part("secret_schemas", ("type", "schema"), ("type", "schema")),
    Part("alerts", ("id",), ("id", "state")),
    Part("cursors", ("name",), ("name", "position"), where=f"name <> '{STATISTICS_CURSOR}'"),
    Part("checkpoints", ("position",), ("position", "as_of", "jobs")),
    *_of_deltas("checkpoint"),
    Part("counts", ("queue", "type", "status"), ("queue", "type", "status", "jobs")),
)
