"""Functions: what each does, its instances and since when they are up, cold starts, and which of them are at zero."""

from collections.abc import Mapping, Sequence

from console import text
from console.messages import Want
from console.screens.jobs import age_of
from console.screens.listing import Column, Listing, Row
from console.screens.page import Page, Text, document, facts, heading
from console.screens.screen import Outcome
from console.state import State, View
from console.wants import FUNCTIONS
from console.widgets.canvas import Area


def _instances(function: Row) -> tuple[str, str]:
    number = len(function.get("instances") or ())
    return (f"{number} up", "ok") if number else ("at zero", "dim")


def _up_since(state: State, function: Row) -> tuple[str, str]:
    starts = [str(found["started_at"]) for found in function.get("instances") or () if isinstance(found, Mapping) and found.get("started_at")]
    return (age_of(state, max(starts)), "dim") if starts else ("", "dim")


def _cold_starts(function: Row) -> tuple[str, str]:
    number = function.get("cold_starts")
    return ("", "dim") if number is None else (text.count(number), "dim")


def _cold_start(function: Row) -> tuple[str, str]:
    seconds = function.get("cold_start_seconds")
    return ("", "dim") if seconds is None else (text.duration(seconds), "dim")


def _names(function: Row) -> str:
    return ", ".join(str(found.get("instance")) for found in function.get("instances") or ())


class Functions(Listing):
    name = "functions"
    title = "Functions"
    marking = False
    columns = (
        Column("function", lambda state, function: (function["name"], "title"), 16, sort=lambda f: f["name"]),
        Column("instances", lambda state, function: _instances(function), 10, sort=lambda f: len(f.get("instances") or ())),
        Column("newest up", lambda state, function: _up_since(state, function), 10, ">"),
        Column("cold starts", lambda state, function: _cold_starts(function), 11, ">", least=90, sort=lambda f: f.get("cold_starts")),
        Column("took", lambda state, function: _cold_start(function), 9, ">", least=90, sort=lambda f: f.get("cold_start_seconds")),
        Column("does", lambda state, function: (function.get("does") or "", "dim")),
        Column("names", lambda state, function: (_names(function), "dim"), 36, least=130),
    )

    def want(self, view: View) -> Want:
        return FUNCTIONS

    def identity(self, row: Row) -> str:
        return str(row["name"])

    def source(self, state: State, view: View) -> list[Row]:
        words = view.query.lower().split()
        return [row for row in super().source(state, view) if all(word in f"{row['name']} {row.get('does')} {_names(row)}".lower() for word in words)]

    def open(self, state: State, row: Row) -> Outcome | None:
        return state.opened(View("function", str(row["name"]))), ()


class FunctionScreen(Page):
    """One function with each of its instances."""

    name = "function"
    title = "Function"

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (FUNCTIONS,)

    @staticmethod
    def _found(state: State, view: View) -> Row:
        return next((row for row in state.items(FUNCTIONS) if row["name"] == view.subject), {})

    def head(self, area: Area, state: State, view: View) -> None:
        function = self._found(state, view)
        area.spans(1, 0, [(view.subject, "title"), ("  ", ""), _instances(function)])
        area.put(1, 1, str(function.get("does") or ""), "dim")

    def text(self, state: State, view: View, columns: int) -> Text:
        function = self._found(state, view)
        plain = [(name, str(value), "") for name, value in function.items() if not isinstance(value, dict | list) and value is not None]
        lines = facts(plain, columns)
        for found in function.get("instances") or ():
            lines += heading(str(found.get("instance"))) + document(found, columns)
        return lines if function.get("instances") else [*lines, [], [("No instance is up: it is at zero, and the next event or request wakes it.", "dim")]]
