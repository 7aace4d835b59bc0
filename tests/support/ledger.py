"""What clients and handlers saw, written down outside the system: the witness against which the stores are checked.

The client's ledger is fsynced before each request and after each answer. The handlers' ledger is appended to by the task
handlers themselves (tests/support/tasks.py), one line a fact.
"""

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NONCE = "nonce"  # the member of a payload by which a job is known to be a ledger's item


@dataclass(frozen=True, slots=True)
class Item:
    """One submission: the job request as sent and its idempotency key. Sent again, it is the same item."""

    request: dict[str, Any]
    key: str | None = None

    @property
    def nonce(self) -> str:
        return str(self.request["payload"][NONCE])


@dataclass(slots=True)
class Ask:
    """One request and its answer; `status` None: none came. Item answers are (status, job id or None) in order. `unknown`: the
    answer itself says that it is not known whether anything was stored."""

    number: int
    way: str  # single | batch | event | events
    items: list[Item]
    status: int | None = None
    answers: list[tuple[int, str | None]] = field(default_factory=list)
    unknown: bool = False

    @property
    def outcomes(self) -> list[tuple[Item, int | None, str | None]]:
        """(item, status, job id) of each item; status None where nothing is known: without an answer, after one that says so, and
        after any 5xx but 503, which promises that nothing was stored."""
        if self.status is None or self.unknown or (self.status >= 500 and self.status != 503):
            return [(item, None, None) for item in self.items]
        if self.status == 503:
            return [(item, 503, None) for item in self.items]
        return [(item, *answer) for item, answer in zip(self.items, self.answers, strict=True)]


class Ledger:
    """The client's ledger in a file; its methods may be called from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("ab")
        self._number = max((ask.number for ask in read_ledger(path)), default=0)

    def ask(self, way: str, items: Sequence[Item]) -> int:
        """Writes down what is about to be sent; returns the request's number."""
        with self._lock:
            self._number += 1
            self._write({"ask": self._number, "way": way, "items": [{"key": item.key, "request": item.request} for item in items]})
            return self._number

    def answer(self, number: int, status: int, answers: Sequence[tuple[int, str | None]], *, unknown: bool = False) -> None:
        with self._lock:
            self._write({"answer": number, "status": status, "items": list(answers), "unknown": unknown})

    def close(self) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def read_ledger(path: Path) -> list[Ask]:
    """Every request in the order in which it was sent."""
    asks: dict[int, Ask] = {}
    for line in read_lines(path):
        if "ask" in line:
            asks[line["ask"]] = Ask(line["ask"], line["way"], [Item(item["request"], item["key"]) for item in line["items"]])
        else:
            asks[line["answer"]].status, asks[line["answer"]].unknown = line["status"], line["unknown"]
            asks[line["answer"]].answers = [(status, job_id) for status, job_id in line["items"]]
    return list(asks.values())


def note(path: Path, **fact: Any) -> None:
    """Appends a fact to a handlers' ledger: one write, so that lines of several processes do not mix."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, json.dumps(fact).encode() + b"\n")
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a ledger; a last line that a kill cut off does not count."""
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines()]
