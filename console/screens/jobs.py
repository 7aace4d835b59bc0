"""Jobs: find them, watch them, act on one or many."""

from collections.abc import Mapping
from typing import Any

from console import text, timeline
from console.keys import Key
from console.screens import acts
from console.screens.listing import Column, Listing, Row
from console.screens.screen import Outcome
from console.state import State, View, Want
from console.theme import STATE_STYLES
from contracts.times import MICROSECONDS, from_rfc3339

PAGE = "200"
ACTING = (
    Key(("c",), "cancel", "cancel", "Cancel the marked jobs, or the selected one."),
    Key(("r",), "retry", "retry", "Run failed or cancelled jobs again, under the same id."),
    Key(("R",), "rerun", "rerun", "Make a new job like each of these."),
    Key(("a",), "all", "all that match", "Cancel, retry or rerun every job that matches the filter."),
    Key(("y",), "copy", "", "Copy the job's id."),
)


def age_of(state: State, instant: str | None) -> str:
    """How long ago an RFC 3339 instant was, by the console's clock."""
    return "-" if not instant else text.duration(max(round(state.wall - from_rfc3339(instant) / MICROSECONDS), 0))


def status_of(job: Row) -> tuple[str, str]:
    status = str(job["status"])
    shown = "cancelling" if status == "running" and job.get("cancel_requested_at") else status
    return shown, STATE_STYLES.get(status, "")


def took(job: Row) -> tuple[str, str]:
    seconds = timeline.ran_seconds(job)
    return ("", "") if seconds is None else (text.duration(seconds), "dim")


def says(job: Row) -> tuple[str, str]:
    """The most telling words about a job: its error, what holds it, its progress, its result."""
    error = job.get("error")
    if isinstance(error, Mapping) and job["status"] != "succeeded":
        return f"{error.get('type') or ''}: {error.get('message') or ''}".strip(": "), "bad" if job["status"] == "failed" else "warn"
    if job.get("why_waiting"):
        return str(job["why_waiting"]), "dim"
    if job["status"] == "running":
        return timeline.progress_line(job.get("progress")) or "", "active"
    if job["status"] == "succeeded" and job.get("result") is not None:
        return text.short(job["result"])[:400], "dim"
    return "", ""


COLUMNS = (
    Column("state", lambda state, job: status_of(job), 10, sort=lambda job: job["status"]),
    Column("type", lambda state, job: (job["type"], ""), 20, sort=lambda job: job["type"]),
    Column("id", lambda state, job: (job["id"], "dim"), 36, least=150, sort=lambda job: job["id"]),
    Column("id", lambda state, job: (job["id"][-12:], "dim"), 12),
    Column("queue", lambda state, job: (job["queue"], "dim"), 10, least=110, sort=lambda job: job["queue"]),
    Column("pri", lambda state, job: (str(job["priority"]), "dim"), 3, ">", least=120, sort=lambda job: job["priority"]),
    Column("try", lambda state, job: (f"{job['attempt']}/{job['attempts_allowed']}", "warn" if job["attempt"] > 1 else "dim"), 5, ">",
           sort=lambda job: job["attempt"], least=90),
    Column("age", lambda state, job: (age_of(state, job["created_at"]), "dim"), 9, ">", sort=lambda job: job["created_at"]),
    Column("ran", lambda state, job: took(job), 8, ">", sort=timeline.ran_seconds, least=90),
    Column("says", lambda state, job: says(job)),
)  # fmt: skip


class Jobs(Listing):
    name = "jobs"
    title = "Jobs"
    columns = COLUMNS
    extra = ACTING
    empty = "No job yet. N submits one."

    def want(self, view: View) -> Want:
        query: tuple[tuple[str, str], ...] = (("limit", PAGE),)
        return Want("/v1/jobs", (*query, ("q", view.query)) if view.query else query)

    def _widths(self, state: State, room: int) -> tuple[list[Column], list[int]]:
        columns, widths = super()._widths(state, room)
        if room >= 150:  # the whole id is shown, so its end is not
            kept = [(c, w) for c, w in zip(columns, widths, strict=True) if not (c.title == "id" and c.columns == 12)]
            gained = sum(w + 1 for c, w in zip(columns, widths, strict=True) if c.title == "id" and c.columns == 12)
            return [c for c, _ in kept], [w + (gained if not c.columns else 0) for c, w in kept]
        return columns, widths

    def open(self, state: State, row: Row) -> Outcome | None:
        return state.opened(View("job", str(row["id"]))), ()

    def act(self, state: State, command: str, rows: list[Row]) -> Outcome | None:
        if command == "all":
            return acts.ask_bulk(state, state.view.query)
        return acts.on_jobs(state, command, rows)


def job_of(document: Any) -> Row | None:
    return document if isinstance(document, Mapping) and "status" in document else None
