"""What a write transaction on PostgreSQL does: its commands, what they read and write, and the events that tell of it."""

import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from contracts.errors import StoreUnavailable
from contracts.event import Event
from contracts.ids import UuidSequence
from functions.stores import commands as cmd
from functions.stores import faults
from functions.stores.backends import postgres_loading as loading
from functions.stores.backends import postgres_writing as writing
from functions.stores.backends.postgres_transaction import Transaction

LONGEST_SECONDS = 8.0  # from a transaction's instant to its numbers: a search by age relies on it (DISORDER_MICROS)
Check = Callable[[Event], None]


@dataclass(slots=True)
class SqlWrite:
    """A write that is no move: runs after the moves, in the same transaction, at its instant."""

    run: Callable[[Transaction, int], Awaitable[Any] | None]
    lazy: bool = False


class Done(NamedTuple):
    """What a transaction came to: an answer for each command, its events, and its number (None: it has no events)."""

    answers: list[Any]
    events: Sequence[Event]
    commit_id: int | None


class Unsure(Exception):
    """The commit failed, or its answer was lost; `backend` is the server's process that was at it."""

    def __init__(self, answers: list[Any], events: Sequence[Event]) -> None:
        super().__init__()
        self.answers, self.events, self.backend = answers, events, 0


class Workshop:
    """Does commands for the deployment `source`. `check` validates each event before it is stored."""

    def __init__(self, check: Check, uniform: Callable[[], float]) -> None:
        self.source = ""
        self._check, self._uniform = check, uniform
        self._ids = UuidSequence()
        self._seen = writing.Seen()

    async def do(self, transaction: Transaction, commands: Sequence[Any], now: int) -> Done:
        """All commands at the instant `now`, and the commit. Late ones see what the others wrote.

        Raises Unsure for what happens at the commit.
        """
        begun = time.monotonic()
        results: dict[int, Any] = {}
        documents: list[dict[str, Any]] = []
        for late in (False, True):
            part = [command for command in commands if isinstance(command, cmd.Command) and command.late is late]
            if part:
                unit = cmd.Unit(self.source, now, self._ids, self._uniform)
                await self._do(transaction, unit, part, results)
                documents += unit.documents
        for command in commands:
            if isinstance(command, SqlWrite):
                answer = command.run(transaction, now)
                results[id(command)] = await answer if inspect.isawaitable(answer) else answer
        events = writing.checked(documents, self._check)
        faults.reach("inserted")
        if time.monotonic() - begun > LONGEST_SECONDS:
            raise StoreUnavailable(f"the job store kept this waiting for more than {LONGEST_SECONDS:g} s; nothing was stored, try again")
        answers = [results[id(command)] for command in commands]
        try:
            told = await transaction.commit(*([writing.told(events, now)] if events else ()))
        except (psycopg.Error, OSError) as error:
            raise Unsure(answers, events) from error
        return Done(answers, events, told[0][0][0] if events else None)

    async def _do(self, transaction: Transaction, unit: cmd.Unit, part: Sequence[cmd.Command], results: dict[int, Any]) -> None:
        needs = cmd.Needs()
        for command in part:
            command.needs(needs, unit)
        await loading.load_before_plans(transaction, needs, unit)
        for command in part:
            command.plan(needs, unit)
        families = await loading.load(transaction, needs, unit)
        unit.settle = lambda: cmd.settle_children(unit, lambda parents: families.children(unit, parents))
        cmd.apply_all(part, unit, results)
        writing.flush(transaction, unit, families, self._seen)
