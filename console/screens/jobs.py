"""Jobs: find them, watch them, act on one or many."""

from collections.abc import Mapping, Sequence

from console import text, timeline
from console.keys import Key
from console.messages import Acted, Want
from console.screens import acts
from console.screens.listing import Column, Listing, Row
from console.screens.screen import Outcome
from console.state import State, View
from console.theme import STATE_STYLES
from console.wants import STATS
from contracts.times import MICROSECONDS, from_rfc3339

ACTING = (
    Key(("c",), "cancel", "cancel", "Cancel the marked jobs, or the selected one."),
    Key(("r",), "retry", "retry", "Run failed or cancelled jobs again, under the same id."),
    Key(("R",), "rerun", "rerun", "Make a new job like each of these."),
    Key(("a",), "all", "all that match", "Cancel, retry or rerun every job that matches the filter."),
    Key(("y",), "copy", "", "Copy the job's id."),
)


def age_of(state: State, instant: str | None) -> str:
    """How long ago an RFC 3339 instant was, by the console's clock."""
    return "-" if not instant else text.age(state.clock - from_rfc3339(instant) / MICROSECONDS)


def ago(state: State, instant: str | None) -> str:
    """The same as a point in time: `now`, `12 s ago`."""
    age = age_of(state, instant)
    return age if age in ("-", "now") else f"{age} ago"


def status_of(job: Row) -> tuple[str, str]:
    status = str(job["status"])
    shown = "cancelling" if status == "running" and job.get("cancel_requested_at") else status
    return shown, STATE_STYLES.get(status, "")


def took(state: State, job: Row) -> tuple[str, str]:
    """How long the last attempt ran; of a running one, how long it runs."""
    if job["status"] == "running" and job.get("started_at"):
        return age_of(state, job["started_at"]).replace("now", "0 s"), "active"
    seconds = timeline.ran_seconds(job)
    return ("", "") if seconds is None else (text.duration(seconds), "dim")


def waited(job: Row) -> tuple[str, str]:
    seconds = timeline.waited_seconds(job)
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
    Column("id", lambda state, job: (job["id"][-12:], "dim"), 12, below=150, sort=lambda job: job["id"]),
    Column("queue", lambda state, job: (job["queue"], "dim"), 10, least=110, sort=lambda job: job["queue"]),
    Column("pri", lambda state, job: (str(job["priority"]), "dim"), 4, ">", least=120, sort=lambda job: job["priority"]),
    Column("try", lambda state, job: (f"{job['attempt']}/{job['attempts_allowed']}", "warn" if job["attempt"] > 1 else "dim"), 5, ">",
           sort=lambda job: job["attempt"], least=90),
    Column("age", lambda state, job: (age_of(state, job["created_at"]), "dim"), 9, ">", sort=lambda job: job["created_at"]),
    Column("waited", lambda state, job: waited(job), 8, ">", sort=timeline.waited_seconds, least=130),
    Column("ran", lambda state, job: took(state, job), 8, ">", sort=timeline.ran_seconds, least=90),
    Column("tags", lambda state, job: (" ".join(job.get("tags") or ()), "accent"), 16, least=170),
    Column("says", lambda state, job: says(job)),
)  # fmt: skip


class Jobs(Listing):
    name = "jobs"
    title = "Jobs"
    columns = COLUMNS
    extra = ACTING
    empty = "No job yet. N submits one."
    limit = 200
    newest_first = True

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (*super().wants(state, view), STATS)

    def want(self, view: View) -> Want:
        return Want("/v1/jobs", (("limit", str(self.limit)), *((("q", view.query),) if view.query else ())))

    def note(self, state: State, view: View) -> str:
        stats = state.document(STATS)
        if view.query or not isinstance(stats, Mapping):
            return ""
        total = sum(stats["states"].values())
        return f"of {text.count(total)}, newest first" + ("; ] goes on" if total > self.limit else "")

    def open(self, state: State, row: Row) -> Outcome | None:
        return state.opened(View("job", str(row["id"]))), ()

    def act(self, state: State, command: str, rows: list[Row]) -> Outcome | None:
        if command == "all":
            return acts.ask_bulk(state, state.view.query)
        return acts.on_jobs(state, command, rows)

    def acted(self, state: State, message: Acted) -> Outcome:
        return acts.rehearsed(state, message)
