"""What is under way: actions of this console, followed to their end, and the bulk operations that the server knows."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from console import operations, text
from console.keys import Key
from console.messages import Want
from console.screens.jobs import age_of
from console.screens.listing import Column, Listing, Row
from console.screens.page import FOLLOWING, Page, Text, facts, heading, wrapped
from console.screens.screen import Outcome
from console.state import Operation, State, View
from console.theme import STATE_STYLES
from console.wants import BULKS
from console.widgets.canvas import Area
from console.widgets.graphs import bar

GOOD = ("done", "succeeded", "cancelled")
ON_LETTERS = ("replay", "discard")
HERE = "here/"  # before the number of an operation that this console alone knows


def _bar(state: State, row: Row) -> str:
    return bar(row["done"] / row["matched"] if row["matched"] else 1.0, 10, ascii_only=state.ascii_only)


def _counted(row: Row) -> str:
    return f"{text.count(row['done'])}/{text.count(row['matched'])}"


def _style(row: Row) -> str:
    """Green is what was done; what was refused or failed is not."""
    found: Mapping[str, int] = row.get("outcomes") or {}
    if set(found) - set(GOOD):
        return "warn" if set(found) & set(GOOD) else "bad"
    return "ok" if row["status"] == "finished" or row["done"] >= row["matched"] else "active"


def _outcomes(row: Row) -> tuple[str, str]:
    found: Mapping[str, int] = row.get("outcomes") or {}
    words = ", ".join(f"{text.count(number)} {operations.worded(name)}" for name, number in found.items())
    return words, _style(row) if set(found) - set(GOOD) else "dim"


class Operations(Listing):
    name = "operations"
    title = "Under way"
    empty = "Nothing is under way, and nothing was done to many at once."
    marking = False
    columns = (
        Column("action", lambda state, row: (row["action"], "title"), 8, sort=lambda row: row["action"]),
        Column("state", lambda state, row: (row["status"], _style(row)), 9, sort=lambda row: row["status"]),
        Column("", lambda state, row: (_bar(state, row), _style(row)), 10, least=110),
        Column("progress", lambda state, row: (_counted(row), _style(row)), 11),
        Column("age", lambda state, row: (age_of(state, row.get("created_at")), "dim"), 9, ">", sort=lambda row: row.get("created_at")),
        Column("by", lambda state, row: (row["actor"], "dim"), 14, least=100),
        Column("outcomes", lambda state, row: _outcomes(row), 30, least=110),
        Column("outcomes", lambda state, row: _outcomes(row), 22, below=110),
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
        if len(jobs) == 1 and not row.get("bulk"):
            return state.opened(View("job", jobs[0])), ()
        return state.opened(View("operation", str(row.get("bulk") or row["id"]), local=row)), ()


def _row(operation: Operation) -> Row:
    counts: dict[str, int] = dict(operation.outcomes)
    for status in operation.ended.values() if not operation.bulk else ():
        counts[status] = counts.get(status, 0) + 1
    if operation.refused:
        counts["refused"] = len(operation.refused)
    done = operation.done if operation.bulk else len(operation.ended) + len(operation.refused)
    return {"id": f"{HERE}{operation.number}", "action": operation.verb, "status": "running", "done": done, "matched": operation.asked, "actor": "here",
            "q": operation.about, "outcomes": counts, "jobs": operation.followed, "created_at": None, "bulk": operation.bulk, "ended": operation.ended,
            "refused": operation.refused}  # fmt: skip


class OperationScreen(Page):
    """What became of one operation: how many by outcome, and some of those that could not be. `local` is it as the list had it."""

    name = "operation"
    title = "What became of it"

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (*super().keys, FOLLOWING)

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return () if view.subject.startswith(HERE) else (_want(view),)

    @staticmethod
    def _found(state: State, view: View) -> Row | None:
        """As the server tells it; one of this console alone as it is now, or as it was last seen."""
        if view.subject.startswith(HERE):
            return next((row for row in map(_row, state.operations) if row["id"] == view.subject), view.local)
        document = state.document(_want(view))
        return document if isinstance(document, Mapping) else view.local

    def head(self, area: Area, state: State, view: View) -> None:
        row = self._found(state, view)
        if row is None:
            problem = state.answer(_want(view)).problem
            area.put(1, 0, f"Operation {view.subject}", "title")
            area.put(1, 1, problem or "Reading ...", "bad" if problem else "dim")
            return
        area.spans(1, 0, [(f"{row['action']} ", "title"), (f"{_counted(row)} {row['status']}", _style(row))])
        area.put(1, 1, str(row["q"]) or "everything", "accent")

    def _made(self, state: State, view: View, columns: int) -> tuple[Text, dict[int, View]]:
        row = self._found(state, view)
        if row is None:
            return [], {}
        lines: Text = [[("outcomes", "heading")]]
        for name, number in (row.get("outcomes") or {}).items():
            lines.append([(f"{text.count(number):>9}  ", "ok" if name in GOOD else "bad"), (operations.worded(name), "")])
        lines += [] if row.get("outcomes") else [[("None yet.", "dim")]]
        links: dict[int, View] = {}
        if samples := row.get("samples"):
            lines += heading("some of those that were not done")
        for sample in samples or ():
            links[len(lines)] = View("dead-letter" if row["action"] in ON_LETTERS else "job", str(sample["id"]))
            lines.append([(f"{sample['id']}  ", "accent"), (operations.worded(str(sample.get("outcome"))), "bad")])
            lines += wrapped(text.clean(str(sample.get("detail") or "")), columns, "dim")
        if jobs := row.get("jobs"):
            lines += heading("jobs")
        for job_id in jobs or ():
            links[len(lines)] = View("job", str(job_id))
            status = str(row["ended"].get(job_id, "not ended yet"))
            lines.append([(f"{job_id}  ", "accent"), (status, STATE_STYLES.get(status, "dim"))])
        problems = row.get("refused")  # of the server's own this is a number, or not there
        for problem in problems if isinstance(problems, tuple) else ():
            lines += wrapped(text.clean(f"refused: {problem}"), columns, "bad")
        told = [("by", row.get("actor")), ("because", row.get("reason")), ("begun", row.get("created_at")), ("ended", row.get("finished_at"))]
        return lines + heading("facts") + facts([(name, str(value or "")[:200], "") for name, value in told], columns), links

    def text(self, state: State, view: View, columns: int) -> Text:
        return self._made(state, view, columns)[0]

    def links(self, state: State, view: View, columns: int) -> Mapping[int, View]:
        return self._made(state, view, columns)[1]


def _want(view: View) -> Want:
    return Want(f"/v1/bulk/{quote(view.subject, safe='')}")
