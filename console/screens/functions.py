"""Functions: what each does, its instances and since when they are up, cold starts, and which of them are at zero."""

from collections.abc import Sequence

from console import text
from console.messages import Want
from console.screens.jobs import age_of
from console.screens.listing import Column, Listing, Row
from console.screens.page import Page, Text, document, facts, heading
from console.screens.panels import instances
from console.screens.screen import Outcome
from console.state import State, View
from console.wants import FUNCTIONS, STORES
from console.widgets.canvas import Area

AT_ZERO = "No instance is up: it is at zero, and the next event or request wakes it."


def _since(state: State, instant: str | None) -> tuple[str, str]:
    return (age_of(state, instant) if instant else "", "dim")


def _pods(function: Row) -> tuple[str, str]:
    """Pods as Kubernetes counts them; nothing where nobody does."""
    number = function.get("pods")
    return ("", "dim") if number is None else (text.count(number), "ok" if number else "dim")


def _cold_start(function: Row) -> tuple[str, str]:
    seconds = function.get("cold_start_seconds")
    return ("", "dim") if seconds is None else (text.duration(seconds), "dim")


def _names(function: Row) -> str:
    return ", ".join(str(found.get("instance")) for found in function.get("instances") or ())


class Functions(Listing):
    name = "functions"
    title = "Functions"
    marking = False
    headroom = 1
    columns = (
        Column("function", lambda state, function: (function["name"], "title"), 16, sort=lambda f: f["name"]),
        Column("instances", lambda state, function: instances(function), 10, sort=lambda f: len(f.get("instances") or ())),
        Column("pods", lambda state, function: _pods(function), 5, ">", least=110, sort=lambda f: f.get("pods")),
        Column("started", lambda state, function: _since(state, function.get("last_started_at")), 10, ">", sort=lambda f: f.get("last_started_at")),
        Column("stopped", lambda state, function: _since(state, function.get("last_stopped_at")), 10, ">", least=110),
        Column("starts", lambda state, function: (text.count(function.get("starts") or 0), "dim"), 6, ">", sort=lambda f: f.get("starts")),
        Column("cold start", lambda state, function: _cold_start(function), 10, ">", sort=lambda f: f.get("cold_start_seconds")),
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

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (*super().wants(state, view), STORES)

    def above(self, area: Area, state: State, view: View) -> None:
        """The stores that they share, and whether they answer."""
        x = area.put(1, 0, "stores", "dim")
        for store in state.items(STORES):
            said = f"{store['name']}: {store['kind']}, {store['found']}" + (f", {text.count(store['lag'])} behind" if store.get("lag") else "")
            x = area.put(x + 2, 0, said, "ok" if store["verdict"] == "ok" else "bad")

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
        area.spans(1, 0, [(view.subject, "title"), ("  ", ""), instances(function)])
        area.put(1, 1, str(function.get("does") or ""), "dim")

    def text(self, state: State, view: View, columns: int) -> Text:
        function = self._found(state, view)
        plain = [(name, str(value), "") for name, value in function.items() if not isinstance(value, dict | list) and value is not None]
        lines = facts(plain, columns)
        for found in function.get("instances") or ():
            lines += heading(str(found.get("instance"))) + document(found, columns)
        return lines if function.get("instances") or function.get("pods") else [*lines, [], [(AT_ZERO, "dim")]]
