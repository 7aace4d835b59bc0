"""A job's events as a story: when, what, and how long it waited and ran. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console import text
from contracts.job import TERMINAL
from contracts.times import MICROSECONDS, from_rfc3339

Document = Mapping[str, Any]
Stretch = tuple[str, float]  # a state, and the seconds in it


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a timeline: `offset_seconds` since the first, and what it ended of waiting or running."""

    offset_seconds: float
    name: str
    detail: str
    waited_seconds: float | None
    ran_seconds: float | None


@dataclass(frozen=True, slots=True)
class Spent:
    """Where a job's time went: waiting for a worker, running, and held back (delay, backoff, parents)."""

    total_seconds: float
    waited_seconds: float
    ran_seconds: float

    @property
    def held_seconds(self) -> float:
        return max(self.total_seconds - self.waited_seconds - self.ran_seconds, 0.0)


def short_name(event_type: str) -> str:
    """`dev.observatory.job.queued.v1` -> `job.queued`; a foreign type stays as it is."""
    if not event_type.startswith("dev.observatory."):
        return event_type
    return event_type.removeprefix("dev.observatory.").rpartition(".")[0]


def seconds_since(begin: str, end: str) -> float:
    """Seconds between two RFC 3339 texts."""
    return (from_rfc3339(end) - from_rfc3339(begin)) / MICROSECONDS


def entries(events: Sequence[Document]) -> list[Entry]:
    """The timeline of a job's events, which come in their order."""
    return [_entry(event, events[0]["time"]) for event in events]


def _entry(event: Document, begin: str) -> Entry:
    data = event.get("data") or {}
    return Entry(
        seconds_since(begin, event["time"]),
        short_name(event["type"]).removeprefix("job."),
        detail(event),
        data.get("waited_seconds"),
        data.get("ran_seconds"),
    )


def stretches(events: Sequence[Document], now: str) -> list[Stretch]:
    """The states that a job was in up to `now`, one after the other, but those in which it has ended. What an attempt took beyond its
    handler's own time it waited for a worker, behind others that its processor had."""
    found: list[Stretch] = []
    moves = [(str(data["to"]), event["time"], data) for event in events if (data := event.get("data") or {}).get("to")]
    for (status, begin, _), (after, end, data) in zip(moves, [*moves, ("", now, {})][1:], strict=True):
        if status in TERMINAL:
            continue
        _add(found, status, max(seconds_since(begin, end), 0.0))
        if status == "running" and after != "running" and data.get("ran_seconds") is not None:
            whole = found.pop()[1]
            ran = min(data["ran_seconds"], whole)
            _add(found, "queued", whole - ran)
            _add(found, "running", ran)
    return found


def _add(found: list[Stretch], status: str, seconds: float) -> None:
    if found and found[-1][0] == status:
        found[-1] = (status, found[-1][1] + seconds)
    else:
        found.append((status, seconds))


def spent(job: Document, events: Sequence[Document], now: str) -> Spent:
    """Where the time went, up to its end or to `now`; sums over all attempts."""
    end = job.get("finished_at") or now
    took = {"queued": 0.0, "running": 0.0}
    for status, seconds in stretches(events, end):
        took[status] = took.get(status, 0.0) + seconds
    return Spent(max(seconds_since(job["created_at"], end), 0.0), took["queued"], took["running"])


def ran_seconds(job: Document) -> float | None:
    """How long the last attempt of an ended job took, from the job alone; None before it started or while it runs."""
    if not job.get("started_at") or not job.get("finished_at"):
        return None
    return max(seconds_since(job["started_at"], job["finished_at"]), 0.0)


def waited_seconds(job: Document) -> float | None:
    """How long the last attempt waited for a worker, from the job alone; None before it started."""
    if not job.get("started_at") or not job.get("queued_at"):
        return None
    return max(seconds_since(job["queued_at"], job["started_at"]), 0.0)


def detail(event: Document) -> str:
    """What an event says, in a few words of clean text."""
    kind = short_name(event.get("type", ""))
    data = event.get("data")
    describe = _DETAILS.get(kind)
    if describe is None or not isinstance(data, Mapping):
        return text.fit(text.short(data), 200) if data is not None else ""
    return text.clean(describe(event, data))


def error_line(error: Document | None) -> str:
    """`ValueError: no such thing`, the first line of it."""
    if not error:
        return ""
    return text.clean(f"{error.get('type', 'error')}: {error.get('message', '')}".split("\n", 1)[0])


def progress_line(progress: Document | None) -> str:
    """`40 % step 2 of 5`."""
    if not progress:
        return ""
    fraction, message = progress.get("fraction"), progress.get("message")
    parts = [f"{fraction * 100:.0f} %" if isinstance(fraction, int | float) else "", str(message or "")]
    return text.clean(" ".join(part for part in parts if part))


def _by(event: Document) -> str:
    return f" by {event['actor']}" if event.get("actor") else ""


def _why(data: Document) -> str:
    return f": {data['reason']}" if data.get("reason") else ""


def _outcome(data: Document) -> str:
    outcome = data.get("outcome")
    return "" if outcome in (None, "failed") else f"{str(outcome).replace('_', ' ')}: "


_DETAILS = {
    "job.accepted": lambda e, d: f"{d.get('type', '')} for queue {d.get('queue', '')}, priority {d.get('priority', '')}{_by(e)}",
    "job.scheduled": lambda e, d: f"not before {d.get('run_at')}" + (f" ({d['reason']})" if d.get("reason") else ""),
    "job.queued": lambda e, d: str(d.get("reason") or "").replace("_", " "),
    "job.started": lambda e, d: f"attempt {d.get('attempt')} on {d.get('worker')}",
    "job.progressed": lambda e, d: progress_line(d.get("progress")),
    "job.cancelrequested": lambda e, d: f"asked to stop{_by(e)}{_why(d)}",
    "job.succeeded": lambda e, d: f"attempt {d.get('attempt')}",
    "job.retrying": lambda e, d: f"attempt {d.get('attempt')} {_outcome(d)}{error_line(d.get('error'))}; next not before {d.get('run_at')}",
    "job.released": lambda e, d: f"gave its attempt back ({d.get('reason')})",
    "job.failed": lambda e, d: f"attempt {d.get('attempt')} {_outcome(d)}{error_line(d.get('error'))}",
    "job.cancelled": lambda e, d: f"{_by(e)}{_why(d)}".strip(),  # the reason names the cause
    "job.reopened": lambda e, d: f"up to attempt {d.get('attempts_allowed')}{_by(e)}{_why(d)}",
    "queue.configured": lambda e, d: f"{d.get('name')}: at most {d.get('max_running') or 'any number'} running",
    "queue.paused": lambda e, d: f"{d.get('name')}{_by(e)}{_why(d)}",
    "queue.resumed": lambda e, d: f"{d.get('name')}{_by(e)}",
    "alert.raised": lambda e, d: f"{d.get('severity')}: {d.get('summary')}",
    "alert.resolved": lambda e, d: f"over after {text.duration(d.get('lasted_seconds'))}: {d.get('summary')}",
    "contract.refused": lambda e, d: f"{d.get('count')} of {d.get('subject_type')}: {d.get('reason')}",
}
