"""Reads what the screen wants, again and again. Belongs to the link's thread.

Each want is read by itself, so that one that hangs holds up no other. When nothing answers any more, one probe at a time
is sent, at growing intervals, until one is answered; then everything is read anew.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from console.messages import Message, Received, Refused, Unreached, Want

QUIET_SECONDS = 2.0  # what nothing stirred is read again after this long
PAUSES = (0.5, 1.0, 2.0, 3.0, 5.0)  # between tries while the server is away; the last goes on
AT_ONCE = 6


class Reader:
    """`post` takes messages and must not block."""

    def __init__(self, client: Any, post: Callable[[Message], None]) -> None:
        self._client, self._post = client, post
        self._wants: frozenset[Want] = frozenset()
        self._read_at: dict[Want, float] = {}
        self._busy: dict[Want, asyncio.Task[None]] = {}
        self._look = asyncio.Event()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._stirred_at = self._heard_at = self._missed_at = self._next_try = 0.0
        self._tries = 0

    def want(self, wants: frozenset[Want]) -> None:
        """From now on these are read, those that are new at once; what nobody wants any more is given up."""
        self._wants = wants
        for want, task in self._busy.items():
            if want not in wants:
                task.cancel()
        self._look.set()

    def stirred(self) -> None:
        """Something happened, so what is shown may have changed."""
        self._stirred_at = time.monotonic()
        self._look.set()

    def forget(self) -> None:
        """Everything is read anew now."""
        self._read_at.clear()
        self._next_try = 0.0
        self._look.set()

    async def run(self) -> None:
        while True:
            self._look.clear()
            for want in self._due(time.monotonic()):
                self._begin(want)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._pause(time.monotonic()))

    # ---- when ---------------------------------------------------------------------------------------------------

    def _due(self, now: float) -> list[Want]:
        due = [want for want in self._wants if want not in self._busy and self._due_at(want) <= now]
        if self._tries:  # nobody answers: one probe at a time
            return due[:1] if now >= self._next_try and not self._busy else []
        return due

    def _due_at(self, want: Want) -> float:
        read_at = self._read_at.get(want)
        if read_at is None:
            return 0.0
        if not want.every:
            return float("inf")
        return read_at + (want.every if self._stirred_at > read_at - want.every else max(want.every, QUIET_SECONDS))

    def _pause(self, now: float) -> float:
        at = min((self._due_at(want) for want in self._wants if want not in self._busy), default=now + 1.0)
        return min(max(max(at, self._next_try if self._tries else 0.0) - now, 0.01), 1.0)

    # ---- one read -----------------------------------------------------------------------------------------------

    def _begin(self, want: Want) -> None:
        def ended(_: object) -> None:  # also of a task that was cancelled before its first step
            self._busy.pop(want, None)
            self._look.set()

        self._busy[want] = asyncio.ensure_future(self._read(want))
        self._busy[want].add_done_callback(ended)

    async def _read(self, want: Want) -> None:
        async with self._gate:
            await self._ask(want)

    async def _ask(self, want: Want) -> None:
        from console.api.errors import NotAnObservatory, ObservatoryApiError, ServerUnreachable

        begun = time.monotonic()
        try:
            document = await (self._client.get_text(want.path) if want.as_text else self._client.get(want.path, **dict(want.query)))
        except ObservatoryApiError as error:
            if error.status in (502, 503, 504):
                self._missed(want, str(error), begun)
                return
            self._heard(want, begun)
            self._post(Refused(want, error.status, str(error), time.monotonic()))
        except (ServerUnreachable, NotAnObservatory) as error:
            self._missed(want, str(error), begun)
        else:
            self._heard(want, begun)
            self._post(Received(want, document, begun))

    def _heard(self, want: Want, begun: float) -> None:
        if self._tries:
            self._tries, self._read_at = 0, {}
        self._heard_at = time.monotonic()
        self._read_at[want] = begun

    def _missed(self, want: Want, reason: str, begun: float) -> None:
        now = time.monotonic()
        if self._heard_at > begun:  # others were answered meanwhile: it is this one alone
            self._read_at[want] = now
            self._post(Refused(want, 0, reason, now))
            return
        if begun < self._missed_at:  # asked together with one that was missed before
            return
        self._missed_at = now
        pause = PAUSES[min(self._tries, len(PAUSES) - 1)]
        self._tries += 1
        self._next_try = now + pause
        self._post(Unreached(reason, self._tries, pause, now))
