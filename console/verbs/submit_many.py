"""submit, many: a stream of job requests in batches as they come, and if asked the ends of their jobs."""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

from console import exits
from console.api.errors import ObservatoryApiError, WaitTimedOut
from console.api.submission import BATCH_ITEMS, refusal
from console.json_sources import Item, Unreadable
from console.outcome import exit_code
from console.session import Session
from console.text import clean, count

LISTED_REFUSALS = 20
IDS_A_QUESTION = 100
ENDED = ("succeeded", "failed", "cancelled")
Chunk = list[dict[str, Any] | ObservatoryApiError]


def run(session: Session, arguments: argparse.Namespace, requests: Iterator[Item]) -> int:
    many = _Many(session, quiet=arguments.quiet, waits=arguments.wait is not None)
    try:
        for chunk in chunks(requests, arguments.idempotency_key):
            many.submit(chunk)
    finally:
        many.say()
    ended: list[dict[str, Any]] = []
    if arguments.wait is not None:
        ended = wait_for(session, [job_id for job_id in many.ids if job_id is not None], arguments.wait)
    many.finish(ended)
    return exits.REFUSED if many.refused else exit_code(ended)


def chunks(requests: Iterator[Item], key: str | None) -> Iterator[Chunk]:
    """As many requests as a batch takes, or as there are when the next one keeps one waiting. With a key, a source that is sent
    twice makes its jobs once."""
    chunk: Chunk = []
    number = 0
    for item in requests:
        if item is not None:
            chunk.append(_keyed(item, key, number))
            number += 1
        if len(chunk) == BATCH_ITEMS or (item is None and chunk):
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _keyed(item: dict[str, Any] | Unreadable, key: str | None, number: int) -> dict[str, Any] | ObservatoryApiError:
    if isinstance(item, Unreadable):
        return refusal(400, f"line {item.line} {item.why}")
    return item if key is None else {"idempotency_key": f"{key}/{number}", **item}


class _Many:
    """What became of the requests so far; said while it goes on, as JSON or words."""

    def __init__(self, session: Session, *, quiet: bool, waits: bool) -> None:
        self._session, self._quiet = session, quiet
        self._holds_back = waits and session.as_json  # their jobs are told when they ended
        self.ids: list[str | None] = []
        self._answers: list[Any] = []
        self.refused = self._repeated = self._told = 0

    def submit(self, chunk: Chunk) -> None:
        for answer in self._session.client.submit_many(chunk, earlier=self.ids):
            if isinstance(answer, ObservatoryApiError):
                self._refuse(answer)
            else:
                self._repeated += not answer.created
                self._tell(dict(answer.document))
                if self._quiet and not self._session.as_json:
                    self._session.say(answer.id)
        self._session.flush()
        if sys.stderr.isatty() and not self._session.as_json:
            sys.stderr.write(f"\r{self._line()}\x1b[K")
            sys.stderr.flush()

    def _refuse(self, error: ObservatoryApiError) -> None:
        self.refused += 1
        self._tell({"status": error.status, "problem": error.problem})
        if self._session.as_json or self.refused > LISTED_REFUSALS:
            return
        self._session.note(clean(f"item {self._told}: {error.message}"))
        for fault in error.faults:
            self._session.note(clean(f"  {fault.pointer or 'the whole'}: {fault.message}"))

    def _tell(self, document: dict[str, Any]) -> None:
        self._told += 1
        if self._holds_back:
            self._answers.append(document)
        elif self._session.as_json:
            sys.stdout.write(('{"items": [\n' if self._told == 1 else ",\n") + json.dumps(document))

    def say(self) -> None:
        """How many were taken; also when it was cut off in the middle."""
        if self._session.as_json:
            return
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
        if self.refused > LISTED_REFUSALS:
            self._session.note(f"... and {count(self.refused - LISTED_REFUSALS)} more; --json lists all")
        if not self._quiet:
            self._session.say(self._line())

    def _line(self) -> str:
        repeated = f" ({count(self._repeated)} of them known before)" if self._repeated else ""
        return f"{count(len(self.ids) - self.refused)} accepted{repeated}, {count(self.refused)} refused"

    def finish(self, ended: list[dict[str, Any]]) -> None:
        if self._holds_back:
            jobs = {job["id"]: job for job in ended}
            self._session.json({"items": [jobs.get(answer.get("id"), answer) for answer in self._answers]})
        elif self._session.as_json:
            self._session.say("\n]}" if self._told else '{"items": []}')
        else:
            for job in ended:
                self._session.say(f"{job['id']} {job['status']}")


def wait_for(session: Session, ids: list[str], seconds: float) -> list[dict[str, Any]]:
    """The jobs once all of them ended, in the order of their ids. Raises WaitTimedOut."""
    ended: dict[str, dict[str, Any]] = {}
    begun = time.monotonic()
    pause = 0.02
    while left := [job_id for job_id in dict.fromkeys(ids) if job_id not in ended]:
        for start in range(0, len(left), IDS_A_QUESTION):
            page = session.client.jobs_page(id=left[start : start + IDS_A_QUESTION], state=",".join(ENDED), limit=IDS_A_QUESTION)
            ended |= {job["id"]: job for job in page["items"]}
        _show_waiting(session, len(ended), len(ids))
        if len(ended) < len(set(ids)):
            if time.monotonic() - begun >= seconds:
                job = session.client.job_document(next(job_id for job_id in left if job_id not in ended))
                raise WaitTimedOut(dict(job), seconds)
            time.sleep(min(pause, math.inf if math.isinf(seconds) else max(begun + seconds - time.monotonic(), 0.0)))
            pause = min(pause * 1.5, 1.0)
    return [ended[job_id] for job_id in ids]


def _show_waiting(session: Session, ended: int, total: int) -> None:
    if sys.stderr.isatty() and not session.as_json:
        sys.stderr.write(f"\r{count(ended)} of {count(total)} ended\x1b[K" if ended < total else "\r\x1b[K")
        sys.stderr.flush()
