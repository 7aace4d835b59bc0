"""A page of text to scroll, in tabs. Screens say what stands on it."""

from collections.abc import Mapping, Sequence
from typing import Any

from console import text
from console.keys import MOVING, Key
from console.messages import Pressed, Want
from console.screens.screen import Outcome
from console.state import State, View
from console.widgets.canvas import Area, Span

Text = list[list[Span]]
BACK = (Key(("left", "h"), "back", "", "Go back one level."),)
TABBING = (
    Key(("tab", "right", "l"), "tab-next", "tab", "Next tab."),
    Key(("shift-tab", "left", "h"), "tab-previous", "", "Previous tab; before the first, back one level."),
)
FOLLOWING = (Key(("enter",), "open", "open", "Open what the selected line is about."),)


class Page:
    """A screen of lines. Subclasses give name, title, `head`, `tabs` and `text`.

    Where `links` says that lines lead somewhere, one of those is selected, and the arrows go from one to the next.
    """

    name = ""
    title = ""
    without: Sequence[str] = ()
    extra: Sequence[Key] = ()
    tabs: Sequence[str] = ()
    headroom = 2

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (self.extra, TABBING if self.tabs else BACK, MOVING)

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return ()

    def head(self, area: Area, state: State, view: View) -> None:
        """Draws the first `headroom` lines."""
        area.put(1, 0, self.title, "title")

    def text(self, state: State, view: View, columns: int) -> Text:
        """The lines of the tab that is shown."""
        return []

    def links(self, state: State, view: View, columns: int) -> Mapping[int, View]:
        """Where lines of the text lead, by their number."""
        return {}

    def act(self, state: State, command: str) -> Outcome | None:
        return None

    # ---- Screen -------------------------------------------------------------------------------------------------

    def typing(self, state: State) -> bool:
        return False

    def type(self, state: State, message: Pressed) -> Outcome | None:
        return None

    def room(self, state: State) -> int:
        return max(state.lines - 2 - self.headroom - (1 if self.tabs else 0), 1)

    def settle(self, state: State) -> State:
        view, room = state.view, self.room(state)
        total = len(self.text(state, view, state.columns - 2))
        links = sorted(self.links(state, view, state.columns - 2))
        cursor = min(links, key=lambda line: abs(line - view.cursor), default=view.cursor)
        top = min(max(view.top, 0), max(total - room, 0))
        if links:
            top = min(max(top, cursor - room + 1), cursor)
        return state if (top, cursor) == (view.top, view.cursor) else state.change(top=top, cursor=cursor)

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        if command in ("tab-next", "tab-previous") and self.tabs:
            return self._turned(state, command, key)
        links = self.links(state, state.view, state.columns - 2)
        if command == "open":
            return (state.opened(links[state.view.cursor]) if state.view.cursor in links else state), ()
        moves = {"down": 1, "up": -1, "page-down": self.room(state), "page-up": -self.room(state), "first": -(1 << 30), "last": 1 << 30}
        if command in moves:
            return (self._selected(state, moves[command], sorted(links)) if links else self._scrolled(state, moves[command])), ()
        return self.act(state, command)

    def _turned(self, state: State, command: str, key: str) -> Outcome | None:
        step = 1 if command == "tab-next" else -1
        if step < 0 and state.view.tab == 0 and key in ("left", "h"):
            return _back(state), ()
        return state.change(tab=(state.view.tab + step) % len(self.tabs), top=0, cursor=0), ()

    @staticmethod
    def _scrolled(state: State, step: int) -> State:
        return state.change(top=max(state.view.top + step, 0))

    @staticmethod
    def _selected(state: State, step: int, links: Sequence[int]) -> State:
        here = links.index(state.view.cursor) if state.view.cursor in links else 0
        return state.change(cursor=links[min(max(here + step, 0), len(links) - 1)])

    def click(self, state: State, what: str, x: int, y: int) -> Outcome | None:
        if what in ("wheel-up", "wheel-down"):
            return self.command(state, "down" if what == "wheel-down" else "up", "")
        if self.tabs and y == self.headroom:
            place = 1
            for index, tab in enumerate(self.tabs):
                if place <= x < place + len(tab) + 2:
                    return state.change(tab=index, top=0, cursor=0), ()
                place += len(tab) + 3
            return None
        line = y - self.headroom - (1 if self.tabs else 0) + state.view.top
        links = self.links(state, state.view, state.columns - 2)
        if line not in links:
            return None
        again = line == state.view.cursor
        return (state.opened(links[line]) if again or what == "double" else state.change(cursor=line)), ()

    def draw(self, area: Area, state: State, view: View) -> None:
        y = self.headroom + (1 if self.tabs else 0)
        body = area.part(1, y, area.columns - 2)
        lines, links = self.text(state, view, body.columns), self.links(state, view, body.columns)
        marks = self._marks(state, view, len(lines), body.lines)
        room = sum(text.width(said) for said, _ in marks) if not self.tabs else 0  # the head gives way to them
        self.head(area.part(0, 0, area.columns - room, self.headroom), state, view)
        x = 1
        for index, tab in enumerate(self.tabs):
            x = area.put(x, self.headroom, f" {tab} ", "title@cursor" if index == view.tab else "dim") + 1
        for line, spans in enumerate(lines[view.top : view.top + body.lines]):
            body.spans(0, line, spans)
            if view.top + line == view.cursor and view.cursor in links:
                body.tint(line, "@cursor")
        area.right(y - 1, marks)

    def _marks(self, state: State, view: View, total: int, room: int) -> list[Span]:
        """How old it is where it is stale, and how far one has scrolled."""
        marks: list[Span] = []
        stale = state.stale(*self.wants(state, view))
        if stale is not None:
            marks.append((f" {text.age(stale)} old ", "bad"))
        if total > room:
            marks.append((f" {min(view.top + room, total)}/{total} ", "dim"))
        return marks


def _back(state: State) -> State:
    from dataclasses import replace

    return replace(state, views=state.views[:-1]) if len(state.views) > 1 else state


def wrapped(said: str, columns: int, style: str = "") -> Text:
    """Clean text of several lines, broken at `columns`."""
    from wcwidth import wrap

    lines: Text = []
    for line in said.split("\n"):
        if text.width(line) <= columns:
            lines.append([(line, style)])
        else:
            lines += [[(piece, style)] for piece in wrap(line, max(columns, 10), drop_whitespace=False)]
    return lines


def heading(title: str) -> Text:
    return [[], [(title, "heading")]]


def facts(pairs: Sequence[tuple[str, str, str]], columns: int) -> Text:
    """`name value` lines; a pair without a value is left out. (name, value, style of the value)"""
    room = max((len(name) for name, value, _ in pairs if value), default=0) + 2
    lines: Text = []
    for name, value, style in pairs:
        if not value:
            continue
        first, *rest = wrapped(text.clean(value), max(columns - room, 20), style)
        lines.append([(name.ljust(room), "dim"), *first])
        lines += [[(" " * room, ""), *more] for more in rest]
    return lines


def document(value: Any, columns: int, style: str = "") -> Text:
    """A JSON value, readable: names, texts, numbers each in their style."""
    lines: Text = []
    for line in text.pretty(value).split("\n"):
        lead = len(line) - len(line.lstrip())
        name, colon, rest = line.partition('": ') if line.lstrip().startswith('"') else ("", "", line)
        if not colon or text.width(line) > columns:
            lines += wrapped(line, columns, style)
            continue
        lines.append([(" " * lead + name.lstrip() + '":', "info"), (f" {rest}", style)])
    return lines
