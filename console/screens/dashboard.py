"""The dashboard: how the whole system is, at one look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console import text
from console.keys import Key
from console.messages import Want
from console.screens import panels
from console.screens.jobs import Jobs
from console.screens.screen import Outcome
from console.state import State, View
from console.wants import ALERTS, EVENTS, FUNCTIONS, QUEUES, STATS
from console.widgets.canvas import Area, box

WINDOW = Key(("w",), "window", "", "Rates and times of the last 1, 5 or 60 minutes.")


@dataclass(frozen=True, slots=True)
class Layout:
    """Lines of the parts, and columns of the panels; what a small terminal has no room for is left out."""

    totals: int
    panels: int
    events: int
    columns: tuple[int, ...]


def layout(columns: int, lines: int) -> Layout:
    number = 4 if columns >= 170 else 3 if columns >= 110 else 2
    panel = 0 if lines < 18 else 8 if lines < 50 else 11
    rest = lines - 2 - 3 - panel
    events = min(max((rest - 6) // 2, 0), 16) if lines >= 30 else 4 if lines >= 24 else 0
    part = columns // number
    return Layout(3, panel, events, (*[part] * (number - 1), columns - part * (number - 1)))


class Dashboard(Jobs):
    """Totals, throughput, times, queues, alerts; below them the newest jobs, which can be opened and acted on."""

    name = "dashboard"
    limit = 50
    detailed = False

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (*super().keys, (WINDOW,))

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (self.page_want(view), STATS, QUEUES, EVENTS, FUNCTIONS)

    def _layout(self, state: State) -> Layout:
        return layout(state.columns, state.lines)

    def page(self, state: State) -> int:
        parts = self._layout(state)
        return max(state.lines - 2 - parts.totals - parts.panels - parts.events - 2, 1)

    # ---- keys and mouse: the table stands below the panels ------------------------------------------------------

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        if command == "window":
            return state.change(tab=(state.view.tab + 1) % 3), ()
        return super().command(state, command, key)

    def click(self, state: State, what: str, x: int, y: int) -> Outcome | None:
        parts = self._layout(state)
        return super().click(state, what, x, y - parts.totals - parts.panels)

    # ---- drawing ------------------------------------------------------------------------------------------------

    def draw(self, area: Area, state: State, view: View) -> None:
        parts = self._layout(state)
        top = parts.totals + parts.panels
        panels.totals(area.part(0, 0, lines=parts.totals), state, has_alerts_panel=len(parts.columns) > 2 and parts.panels > 0)
        if parts.panels:
            self._panels(area.part(0, parts.totals, lines=parts.panels), state, view, parts.columns)
        super().draw(area.part(0, top, lines=area.lines - top - parts.events), state, view)
        if parts.events:
            panels.events(area.part(0, area.lines - parts.events), state)

    def _panels(self, area: Area, state: State, view: View, columns: Sequence[int]) -> None:
        drawn: list[tuple[str, Any, tuple[Want, ...]]] = [("Throughput", panels.throughput, (STATS,)), ("Queues", panels.queues, (QUEUES,))]
        if len(columns) == 4:
            drawn.insert(1, ("Times", panels.times, (STATS,)))
        if len(columns) > 2:
            drawn.append(("Alerts and functions", panels.alerts, (ALERTS, FUNCTIONS)))
        x = 0
        for (title, draw, wants), room in zip(drawn, columns, strict=True):
            stale = state.stale(*wants)
            inner = box(area.part(x, 0, room), title, ascii_only=state.ascii_only)
            if stale is not None:
                area.right(0, [(f" {text.age(stale)} old ", "bad")], area.columns - x - room + 2)
            draw(inner, state, _window(state, view), with_times=len(columns) < 4)
            x += room


def _window(state: State, view: View) -> Mapping[str, Any] | None:
    """The figures of the window of time that was chosen."""
    stats = state.document(STATS)
    if not isinstance(stats, Mapping):
        return None
    windows = stats["windows"]
    return dict(windows[min(view.tab, len(windows) - 1)])
