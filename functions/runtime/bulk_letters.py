"""Bulk operations on dead letters: found by their own query, then replayed or discarded one by one.

One process at a time works on an operation, and each letter is held while it is delivered. A delivery and its record are two
things, so a kill between them delivers that one letter again: at least once. What is recorded names the operation, so no other
letter of a step that is done twice is delivered twice.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from contracts.errors import BrokerUnavailable, ObservatoryError, Passing
from contracts.query import LETTERS, Query, fits_letter, parse
from functions.stores.bulk import BulkOperation
from functions.stores.job_store import DeadLetter, JobStore

PAGE = 50  # letters come with their bodies


class Letters(Protocol):
    """Whoever replays and discards dead letters; `operation` is the bulk operation that asks."""

    async def replay(self, letter_id: str, actor: str, reason: str | None, *, operation: str, since: int) -> DeadLetter: ...
    async def discard(self, letter_id: str, actor: str, reason: str, *, operation: str) -> DeadLetter: ...


LetterSource = Callable[[], Awaitable[Letters]]


async def letters_found(store: JobStore, query: str) -> list[DeadLetter]:
    """The letters that fit now, newest first, without their bodies. Raises MalformedQuery."""
    where: Query = parse(query, LETTERS)
    now, found, cursor = store.now(), [], None
    while True:
        page = await store.dead_letters(PAGE, cursor, None)
        found += [letter for letter in page.items if fits_letter(where, letter, now)]
        cursor = page.next_cursor
        if cursor is None:
            return found


class Replays:
    """Acts on one letter after the other."""

    def __init__(self, store: JobStore, letters: LetterSource | None) -> None:
        self._store, self._letters = store, letters

    async def act(self, operation: BulkOperation, letter_id: str) -> tuple[str, str]:
        """The outcome and its words. Raises Passing: the operation waits."""
        try:
            return await self._told(operation, letter_id) or await self._done(operation, letter_id)
        except Passing:
            raise
        except ObservatoryError as error:
            return error.slug, error.message

    async def _done(self, operation: BulkOperation, letter_id: str) -> tuple[str, str]:
        if self._letters is None:
            raise BrokerUnavailable("this instance reaches no subscribers; the running system goes on with it")
        letters = await self._letters()
        if operation.action == "discard":
            await letters.discard(letter_id, operation.actor, operation.reason or "", operation=operation.id)
        else:
            await letters.replay(letter_id, operation.actor, operation.reason, operation=operation.id, since=operation.created_at)
        return await self._told(operation, letter_id) or ("done", "")

    async def _told(self, operation: BulkOperation, letter_id: str) -> tuple[str, str] | None:
        """What the letter's own events tell of this operation; None when they do not yet."""
        for event in reversed(await self._store.events_of(f"deadletter/{letter_id}")):
            if event.data.get("operation") == operation.id:
                is_done = event.data.get("outcome", "delivered") == "delivered"
                return ("done", "") if is_done else ("failed", event.data.get("detail") or "the subscriber did not take it")
        return None
