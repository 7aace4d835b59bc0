"""A page of text to scroll, in tabs. Screens say what stands on it."""

from collections.abc import Sequence

from console.keys import MOVING, OPENING, Key
from console.screens.screen import Outcome
from console.state import Pressed, State, View, Want
from console.widgets.canvas import Area, Span

Text = list[list[Span]]
TABBING = (Key(("tab", "l", "right"), "tab-next", "tab", "Next tab."), Key(("shift-tab",), "tab-previous", "", "Previous tab."))


class Page:
    """A screen of lines. Subclasses give name, title, `head`, `tabs` and `text`."""

    name = ""
    title = ""
    extra: Sequence[Key] = ()
    tabs: Sequence[str] = ()
    headroom = 2

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (self.extra, TABBING if self.tabs else (), MOVING, OPENING[1:])

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return ()

    def head(self, area: Area, state: State, view: View) -> None:
        """Draws the first `headroom` lines."""
        area.put(1, 0, self.title, "title")

    def text(self, state: State, view: View, columns: int) -> Text:
        """The lines of the tab that is shown."""
        return []

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
        total = len(self.text(state, state.view, state.columns - 2))
        top = min(max(state.view.top, 0), max(total - self.room(state), 0))
        return state if top == state.view.top else state.change(top=top)

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        moves = {"down": 1, "up": -1, "page-down": self.room(state), "page-up": -self.room(state), "first": -(1 << 30), "last": 1 << 30}
        if command in moves:
            return state.change(top=max(state.view.top + moves[command], 0)), ()
        if command in ("tab-next", "tab-previous") and self.tabs:
            step = 1 if command == "tab-next" else -1
            return state.change(tab=(state.view.tab + step) % len(self.tabs), top=0), ()
        return self.act(state, command)

    def click(self, state: State, what: str, x: int, y: int) -> Outcome | None:
        if what in ("wheel-up", "wheel-down"):
            return state.change(top=max(state.view.top + (3 if what == "wheel-down" else -3), 0)), ()
        if self.tabs and y == self.headroom:
            place = 1
            for index, tab in enumerate(self.tabs):
                if place <= x < place + len(tab) + 2:
                    return state.change(tab=index, top=0), ()
                place += len(tab) + 3
        return None

    def draw(self, area: Area, state: State, view: View) -> None:
        self.head(area.part(0, 0, lines=self.headroom), state, view)
        y = self.headroom
        if self.tabs:
            x = 1
            for index, tab in enumerate(self.tabs):
                x = area.put(x, y, f" {tab} ", "title@cursor" if index == view.tab else "dim") + 1
            y += 1
        body = area.part(1, y, area.columns - 2)
        lines = self.text(state, view, body.columns)
        for line, spans in enumerate(lines[view.top : view.top + body.lines]):
            body.spans(0, line, spans)
        if len(lines) > body.lines:
            shown = min(view.top + body.lines, len(lines))
            area.right(self.headroom if self.tabs else self.headroom - 1, [(f"{shown}/{len(lines)} ", "faint")])


def wrapped(text: str, columns: int, style: str = "") -> Text:
    """Clean text of several lines, broken at `columns`."""
    from wcwidth import wrap

    from console.text import width

    lines: Text = []
    for line in text.split("\n"):
        if width(line) <= columns:
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
        first, *rest = wrapped(value, max(columns - room, 20), style)
        lines.append([(name.ljust(room), "dim"), *first])
        lines += [[(" " * room, ""), *more] for more in rest]
    return lines
