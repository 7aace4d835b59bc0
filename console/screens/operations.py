"""What is under way: actions of this console, followed to their end, and the bulk operations that the server knows."""

from collections.abc import Mapping, Sequence
from typing import Any

from console import operations, text
from console.messages import Want
from console.screens.jobs import age_of
from console.screens.listing import Column, Listing, Row
from console.screens.screen import Outcome
from console.state import Operation, State, View
from console.wants import BULKS
from console.widgets.graphs import bar


def _progress(state: State, row: Row) -> tuple[str, str]:
    done = row["done"] / row["matched"] if row["matched"] else 1.0
    return f"{bar(done, 10, ascii_only=state.ascii_only)} {text.count(row['done'])}/{text.count(row['matched'])}", "ok" if done >= 1 else "active"


def _outcomes(row: Row) -> tuple[str, str]:
    found: Mapping[str, Any] = row.get("outcomes") or {}
    words = ", ".join(f"{text.count(number)} {name}" for name, number in found.items())
    return words, "warn" if set(found) - {"done", *operations.TERMINAL} else "dim"


class Operations(Listing):
    name = "operations"
    title = "Under way"
    empty = "Nothing is under way, and nothing was done to many at once."
    marking = False
    columns = (
        Column("action", lambda state, row: (row["action"], "title"), 8, sort=lambda row: row["action"]),
        Column("state", lambda state, row: (row["status"], "ok" if row["status"] == "finished" else "active"), 9, sort=lambda row: row["status"]),
        Column("progress", lambda state, row: _progress(state, row), 26),
        Column("age", lambda state, row: (age_of(state, row.get("created_at")), "dim"), 9, ">", sort=lambda row: row.get("created_at")),
        Column("by", lambda state, row: (row["actor"], "dim"), 14, least=100),
        Column("outcomes", lambda state, row: _outcomes(row), 30, least=110),
        Column("jobs", lambda state, row: (row["q"], "accent")),
    )

    def want(self, view: View) -> Want:
        return BULKS

    def source(self, state: State, view: View) -> list[Row]:
        return [*map(_row, state.operations), *(row for row in state.items(BULKS) if row["id"] not in {found.bulk for found in state.operations})]

    def made_from(self, state: State, view: View) -> tuple[Any, ...]:
        return (*super().made_from(state, view), state.operations)

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (BULKS,)

    def open(self, state: State, row: Row) -> Outcome | None:
        jobs: Sequence[str] = row.get("jobs") or ()
        return (state.opened(View("job", jobs[0])) if len(jobs) == 1 else state), ()


def _row(operation: Operation) -> Row:
    counts: dict[str, int] = dict(operation.outcomes)
    for status in operation.ended.values() if not operation.bulk else ():
        counts[status] = counts.get(status, 0) + 1
    if operation.refused:
        counts["refused"] = len(operation.refused)
    done = operation.done if operation.bulk else len(operation.ended) + len(operation.refused)
    return {"id": f"here/{operation.number}", "action": operation.verb, "status": "running", "done": done, "matched": operation.asked, "actor": "here",
            "q": operation.about, "outcomes": counts, "jobs": operation.followed, "created_at": None}  # fmt: skip
