"""demo-life: a gentle mixed load until it is stopped, so that every screen has something in it."""

import argparse
import math
import signal
import sys
import time
from collections import Counter
from random import Random
from typing import Any, NoReturn

from console import exits, gentle_load
from console.api.addresses import is_local
from console.api.errors import ObservatoryApiError, ServerUnreachable
from console.embedded import ensure_running, standard_library
from console.gentle_load import BEAT_SECONDS, SCHEDULES, TAG, Act
from console.session import Session
from console.text import clean, count

EXAMPLES = f"""Successes, slow jobs, retries, a family of failures, a job that is cancelled, a chain, delayed jobs, two schedules, a dead letter,
refusals. Where nothing runs yet it starts the system. Ctrl-C ends the load and deletes its schedules; its jobs have the tag {TAG}.

examples:
  demo-life
  demo-life --seconds 60 --speed 3
  list tag:{TAG} state:failed        in another terminal, while it goes on
"""
AWAY_SECONDS = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, metavar="N", help="end by itself after the load of so many seconds")
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="how fast it goes: 2 is twice as many jobs (1)")
    parser.add_argument("--seed", type=int, help="of the dice, for the same load again")


def run(session: Session, arguments: argparse.Namespace) -> int:
    started = ensure_running(session)
    life = Life(session, Random(arguments.seed), BEAT_SECONDS / max(arguments.speed, 0.01))
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        life.go_on(arguments.seconds)
    except KeyboardInterrupt:
        session.note("")
    finally:
        life.end()
    if started:
        session.note("It was started here and goes on; make stop ends it.")
    return exits.OK


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


class Life:
    """Does the acts of each beat; a server that is away, and what a key may not do, are said and passed over."""

    def __init__(self, session: Session, dice: Random, beat_seconds: float) -> None:
        self._session, self._dice, self._beat_seconds = session, dice, beat_seconds
        self._files = [str(path) for path in standard_library()] if is_local(session.url) else []
        self._done: Counter[str] = Counter()
        self._to_cancel: list[tuple[int, str]] = []
        self._forbidden: set[str] = set()

    def go_on(self, seconds: float | None) -> None:
        last = math.inf if seconds is None else seconds / BEAT_SECONDS
        for name, request in SCHEDULES.items():
            self._allowed("schedules", lambda name=name, request=request: self._session.client.put_schedule(name, request))
        self._session.note(f"a gentle load goes on; {'Ctrl-C ends it' if seconds is None else f'it ends after that of {seconds:g} s'}")
        beat = 0
        while beat < last:
            started = time.monotonic()
            try:
                self._beat(beat)
            except (ServerUnreachable, ObservatoryApiError) as error:
                self._say(clean(str(error)))
                time.sleep(AWAY_SECONDS)
            beat += 1
            time.sleep(max(started + self._beat_seconds - time.monotonic(), 0.0))

    def _beat(self, beat: int) -> None:
        for act in gentle_load.due(beat):
            self._do(act, beat)
        due = [item for item in self._to_cancel if item[0] <= beat]
        self._to_cancel = [item for item in self._to_cancel if item[0] > beat]
        for _, job_id in due:
            self._allowed("cancelling", lambda job_id=job_id: self._session.client.cancel(job_id, "the demonstration changed its mind"))
        self._say(self._line())

    def _do(self, act: Act, beat: int) -> None:
        answers = self._session.client.submit_many(gentle_load.requests_of(act, self._dice, self._files))
        for answer in answers:
            self._done["refused" if isinstance(answer, ObservatoryApiError) else "jobs"] += 1
        first = answers[0]
        if act.cancel_after is not None and not isinstance(first, ObservatoryApiError):
            self._to_cancel.append((beat + act.cancel_after, first.id))

    def _allowed(self, what: str, do: Any) -> None:
        """Does what needs the role operate, unless it was forbidden before."""
        if what in self._forbidden:
            return
        try:
            do()
        except ObservatoryApiError as error:
            if error.status == 403:
                self._forbidden.add(what)
                self._session.note(clean(f"without {what}: {error}"))
            elif error.status not in (404, 409):
                raise

    def end(self) -> None:
        """Deletes the schedules, and says where to look."""
        for name in SCHEDULES:
            try:
                self._allowed("schedules", lambda name=name: self._session.client.delete_schedule(name, "the demonstration ended"))
            except (ServerUnreachable, ObservatoryApiError) as error:
                self._session.note(clean(f"schedule {name}: {error}"))
        if self._session.as_json:
            self._session.json({**self._done, "tag": TAG, "url": self._session.url})
            return
        self._session.say(self._line())
        self._session.say(f"The system goes on: {self._session.url}/ in a browser, list tag:{TAG} on the command line.")

    def _line(self) -> str:
        return f"{count(self._done['jobs'])} jobs submitted, {count(self._done['refused'])} requests refused"

    def _say(self, line: str) -> None:
        """One line that changes, on a terminal; nothing elsewhere."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{line[: self._session.room or 79]}\x1b[K")
            sys.stderr.flush()
