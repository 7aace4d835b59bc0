"""Following jobs to their ends: their events from the live stream, and what their handlers print while they run."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from console import timeline
from console.api.async_client import AsyncClient
from console.api.errors import ObservatoryApiError, WaitTimedOut
from console.api.exchange import Patience
from console.session import Session
from console.text import clean, fit

ENDED = ("succeeded", "failed", "cancelled")
ATTEMPT_ENDS = ("job.succeeded", "job.failed", "job.retrying", "job.released", "job.cancelled")
LOOK_SECONDS = 0.7
NAMED_IN_ADDRESS = 200  # of more jobs every event is read
AWAY_SECONDS = 60.0
OVERLAP = 200
Document = Mapping[str, Any]


class Voice:
    """Where it is told: lines, and on a terminal one line below them that changes."""

    def __init__(self, session: Session, *, named: bool) -> None:
        self._is_quiet, self._named, self._live = session.as_json, named, sys.stderr.isatty() and not session.as_json
        self._room = session.terminal_columns

    def line(self, job_id: str, text: str) -> None:
        self._write(("\r\x1b[K" if self._live else "") + self._whole(job_id, text) + "\n")

    def status(self, job_id: str, text: str) -> None:
        """What the next line takes the place of; elsewhere a line as any other."""
        if self._live:
            self._write("\r" + fit(self._whole(job_id, text), self._room - 1) + "\x1b[K")
        else:
            self.line(job_id, text)

    def end(self) -> None:
        if self._live:
            self._write("\r\x1b[K")

    def _whole(self, job_id: str, text: str) -> str:
        return clean(f"{job_id}  {text}" if self._named else text).rstrip()

    def _write(self, text: str) -> None:
        if not self._is_quiet:
            sys.stderr.write(text)
            sys.stderr.flush()


def follow(session: Session, job_ids: Sequence[str], seconds: float | None, after: int | None = None) -> list[dict[str, Any]]:
    """The jobs once all of them ended, in the order of their ids; `after` is a position of the feed before the first of them, so
    that all is told from their beginning. Raises WaitTimedOut, and what the client raises."""
    voice = Voice(session, named=len(job_ids) > 1)
    try:
        return asyncio.run(_follow(session, list(dict.fromkeys(job_ids)), seconds, after, voice))
    finally:
        voice.end()


async def _follow(session: Session, job_ids: list[str], seconds: float | None, after: int | None, voice: Voice) -> list[dict[str, Any]]:
    async with AsyncClient(session.url, session.server.key, patience=Patience(0.5, 15.0)) as client:
        followed = Followed(client, voice, wants_output=not session.as_json)
        if after is None:
            after = await client.head()  # before the jobs are read: what ends meanwhile is in the stream
            await followed.read(job_ids)
        else:
            followed.expect(job_ids)
        listening = asyncio.create_task(followed.listen(after))
        looking = asyncio.create_task(followed.look_at_outputs())
        try:
            async with asyncio.timeout(seconds):
                await listening
        except TimeoutError:
            raise WaitTimedOut(dict(await client.job_document(followed.first_open)), seconds or 0.0) from None
        finally:
            looking.cancel()
        return [dict(await client.job_document(job_id)) for job_id in job_ids]


class Followed:
    """The jobs that are followed, and how far each was told."""

    def __init__(self, client: AsyncClient, voice: Voice, *, wants_output: bool) -> None:
        self._client, self._voice, self._wants_output = client, voice, wants_output
        self._open: dict[str, None] = {}
        self._running: dict[str, int] = {}  # job -> lease token
        self._printed: dict[tuple[str, int], str] = {}

    @property
    def first_open(self) -> str:
        return next(iter(self._open))

    def expect(self, job_ids: Sequence[str]) -> None:
        """All that became of the jobs is in the stream."""
        self._open = dict.fromkeys(job_ids)

    async def read(self, job_ids: Sequence[str]) -> None:
        """How the jobs stand now; what the last attempt of an ended one printed."""
        for job_id in job_ids:
            job = await self._client.job_document(job_id)
            if job["status"] not in ENDED:
                self._open[job_id] = None
                self._note_running(job)
            else:
                self._open.pop(job_id, None)
                if job["lease_token"]:
                    await self._tell_output(job_id, job["lease_token"])

    def _note_running(self, job: Document) -> None:
        if job["status"] == "running":
            self._running[job["id"]] = job["lease_token"]

    async def listen(self, after: int) -> None:
        """Tells events until every job ended."""
        if not self._open:
            return
        named = sorted(self._open) if len(self._open) <= NAMED_IN_ADDRESS else None
        async for item in self._client.stream(after=after, job=named, patience_seconds=AWAY_SECONDS):
            if item.event is None:
                await self.read(list(self._open))  # what lay between is gone from the feed
            elif (job_id := item.event["subject"].removeprefix("job/")) in self._open:
                await self._hear(job_id, item.event)
            if not self._open:
                return

    async def _hear(self, job_id: str, event: Document) -> None:
        kind, data = timeline.short_name(event["type"]), event["data"]
        if kind == "job.progressed":
            self._voice.status(job_id, timeline.progress_line(data["progress"]))
            return
        if kind == "job.started":
            self._running[job_id] = data["lease_token"]
        elif kind in ATTEMPT_ENDS and (token := self._running.pop(job_id, None)) is not None:
            await self._tell_output(job_id, token)
        self._voice.line(job_id, f"{kind}  {timeline.detail(event)}")
        if data.get("to") in ENDED:
            self._open.pop(job_id)

    # ---- output -------------------------------------------------------------------------------------------------

    async def look_at_outputs(self) -> None:
        """Tells what running handlers print."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for job_id, token in list(self._running.items()):
                await self._tell_output(job_id, token)

    async def _tell_output(self, job_id: str, token: int) -> None:
        """Tells what came since the last time; an attempt that runs in another process than the server shows it at its end."""
        if not self._wants_output:
            return
        with contextlib.suppress(ObservatoryApiError):
            text = await self._client.log(job_id, token)
            fresh = news(self._printed.get((job_id, token), ""), text)
            self._printed[job_id, token] = text
            for line in clean(fresh, lines=True).splitlines():
                self._voice.line(job_id, f"| {line}")


def news(old: str, new: str) -> str:
    """What an output has more than before. A long one has its middle cut out, so its tail is looked for."""
    if new.startswith(old):
        return new[len(old) :]
    at = new.rfind(old[-OVERLAP:])
    if at >= 0:
        return new[at + len(old[-OVERLAP:]) :]
    return "[...]\n" + new[len(new) // 2 :].partition("\n")[2]
