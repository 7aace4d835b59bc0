"""Audit: the table against the log against the statistics, and the job that differs."""

import re
from collections.abc import Mapping
from typing import Any

from console import text
from console.keys import Key
from console.messages import Act, Want
from console.screens.listing import Column, Listing, Row
from console.screens.screen import Outcome
from console.state import State, View
from console.wants import AUDIT

_SHORTER = re.compile(r"^job/|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-")  # what is alike in all of them


class Audit(Listing):
    name = "audit"
    title = "Audit"
    empty = "No difference."
    headroom = 3
    extra = (Key(("x",), "check", "check now", "Fold the log and compare everything that is stored with it."),)
    columns = (
        Column("part", lambda state, found: (found["part"], "bad"), 10, sort=lambda f: f["part"]),
        Column("about", lambda state, found: (found["about"], ""), 40, least=120, sort=lambda f: f["about"]),
        Column("about", lambda state, found: (_SHORTER.sub("", str(found["about"])), ""), 18, below=120, sort=lambda f: f["about"]),
        Column("field", lambda state, found: (found["field"], "accent"), 16),
        Column("stored", lambda state, found: (text.short(found["stored"]), "bad")),
        Column("log says", lambda state, found: (text.short(found["log"]), "ok")),
    )

    def want(self, view: View) -> Want:
        return AUDIT

    def identity(self, row: Row) -> str:
        return f"{row['part']} {row['about']} {row['field']}"

    def above(self, area: Any, state: State, view: View) -> None:
        document = state.document(AUDIT)
        if not isinstance(document, Mapping):
            return
        area.put(1, 0, _sentence(document), "ok" if document.get("status") == "finished" and not document.get("differences") else "warn")
        if document.get("as_of"):
            area.put(1, 1, f"{text.count(document['jobs'])} jobs and {text.count(document['events'])} events compared at {document['as_of'][:19]}", "dim")

    def _draw_empty(self, area: Any, state: State, view: View) -> None:
        """That nothing differs is said of an audit that came to its end alone."""
        if (state.document(AUDIT) or {}).get("status", "finished") == "finished":
            super()._draw_empty(area, state, view)

    def open(self, state: State, row: Row) -> Outcome | None:
        job_id = str(row["about"]).removeprefix("job/").partition(" ")[0]
        return (state.opened(View("job", job_id)), ()) if row["part"] in ("job", "attempt", "family", "log") else (state, ())

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        if command == "check":
            return state.said("Folding the log ...", "dim", 3.0), (Act("POST", "/v1/audit", {}, "The audit has begun.", "audit"),)
        return super().command(state, command, key)


def _sentence(document: Mapping[str, Any]) -> str:
    status = document.get("status")
    if status == "running":
        progress = document.get("progress") or {}
        share = progress.get("done", 0) * 100 // max(progress.get("total", 1), 1)
        return f"Folding the log: {progress.get('what', '')} {share} %"
    if status == "failed":
        return f"The last audit failed: {document.get('problem')}"
    if status != "finished":
        return "x folds the log, and compares table, timelines, counts and statistics with it."
    number = document.get("differences", 0)
    if not number:
        return "Table, timelines, counts and statistics are what the log says."
    return f"{text.count(number)} difference{'s' * (number != 1)}; console rebuild mends what can be mended."

