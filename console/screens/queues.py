"""Queues: depth, age of the oldest, running, limit, workers; pause and resume."""

from dataclasses import replace
from urllib.parse import quote

from console import prompts, text
from console.keys import Key
from console.messages import Act, Want
from console.moving import goto
from console.screens.jobs import ago
from console.screens.listing import Column, Listing, Row
from console.screens.screen import Outcome
from console.state import State, View, sure
from console.wants import QUEUES
from console.widgets.graphs import bar


def _load(queue: Row, ascii_only: bool) -> tuple[str, str]:
    limit = queue.get("max_running")
    if not limit:
        return "no limit", "faint"
    full = queue["running"] / limit
    return f"{bar(full, 8, ascii_only=ascii_only)} {full * 100:.0f} %", "warn" if full >= 1 else "dim"


def _oldest(queue: Row) -> str:
    return "-" if queue["oldest_age_seconds"] is None else text.age(queue["oldest_age_seconds"])


def _running(queue: Row) -> str:
    return f"{queue['running']}/{queue['max_running']}" if queue.get("max_running") else text.count(queue["running"])


def _held(queue: Row) -> tuple[str, str]:
    if queue["paused"]:
        since = (queue.get("paused_at") or "")[11:19]
        return f"paused by {queue.get('paused_by') or '?'} since {since}", "warn"
    return "open", "ok"


def _workers(state: State, queue: Row) -> tuple[str, str]:
    """How many workers the queue has seen, and how long ago the last."""
    seen = queue.get("workers_seen") or ()
    return (f"{len(seen)}, {ago(state, seen[0]['seen_at'])}", "dim") if seen else ("none seen", "warn" if queue["depth"] else "faint")


def _number(queue: Row) -> tuple[str, str]:
    seen = queue.get("workers_seen") or ()
    return (text.count(len(seen)), "dim") if seen else ("none", "warn" if queue["depth"] else "faint")


def _names(queue: Row) -> str:
    return ", ".join(str(found.get("worker")) for found in queue.get("workers_seen") or ())


class Queues(Listing):
    name = "queues"
    title = "Queues"
    extra = (
        Key(("p",), "pause", "pause", "Pause the queue: nothing of it starts."),
        Key(("u",), "resume", "resume", "Resume the queue."),
        Key(("J",), "jobs", "jobs", "Show its jobs."),
    )
    columns = (
        Column("queue", lambda state, queue: (queue["name"], "title"), 18, sort=lambda queue: queue["name"]),
        Column("depth", lambda state, queue: (text.count(queue["depth"]), "info" if queue["depth"] else "faint"), 9, ">", sort=lambda q: q["depth"]),
        Column("oldest", lambda state, queue: (_oldest(queue), "dim"), 10, ">", sort=lambda q: q["oldest_age_seconds"]),
        Column("running", lambda state, queue: (_running(queue), "active" if queue["running"] else "faint"), 8, ">", sort=lambda q: q["running"]),
        Column("load", lambda state, queue: _load(queue, state.ascii_only), 18, least=100),
        Column("rate", lambda state, queue: (f"{queue['rate_per_second']:g}/s" if queue.get("rate_per_second") else "", "dim"), 8, ">", least=90),
        Column("workers seen", lambda state, queue: _workers(state, queue), 20, least=90),
        Column("workers", lambda state, queue: _number(queue), 7, ">", below=90),
        Column("names", lambda state, queue: (_names(queue), "dim"), 40, least=150),
        Column("state", lambda state, queue: _held(queue)),
    )

    def want(self, view: View) -> Want:
        return QUEUES

    def identity(self, row: Row) -> str:
        return str(row["name"])

    def open(self, state: State, row: Row) -> Outcome | None:
        return goto(state, "jobs", query=f"queue:{row['name']} state:queued"), ()

    def act(self, state: State, command: str, rows: list[Row]) -> Outcome | None:
        if command == "jobs" and rows:
            return goto(state, "jobs", query=f"queue:{rows[0]['name']}"), ()
        if command == "resume" and rows:
            return state, tuple(Act("POST", _path(row, "resume"), {}, "goes on", str(row["name"])) for row in rows if row["paused"])
        return _ask_reason(state, rows) if command == "pause" and rows else None


def _path(queue: Row, action: str) -> str:
    return f"/v1/queues/{quote(str(queue['name']), safe='')}/{action}"


def _ask_reason(state: State, rows: list[Row]) -> Outcome:
    names = ", ".join(row["name"] for row in rows)

    def then(state: State, reason: str) -> Outcome:
        body = {"reason": reason} if reason else {}
        acts = tuple(Act("POST", _path(row, "pause"), body, "is paused", str(row["name"])) for row in rows)
        return replace(state, question=sure(f"Pause {names}? Nothing of it starts until somebody resumes it.", acts)), ()

    return prompts.ask(state, f"why is {names} paused (may be empty)?", then), ()
