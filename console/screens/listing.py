"""A list of things as a table: select, scroll, sort, filter, mark, open. Screens say what is in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from console import text
from console.keys import MOVING, OPENING, Key
from console.screens.screen import Outcome
from console.state import Pressed, State, View, Want
from console.widgets.canvas import Area

Row = Mapping[str, Any]
FILTERING = (
    Key(("/",), "filter", "filter", "Filter by the query language."),
    Key(("s",), "sort", "sort", "Sort by the next column."),
    Key(("S",), "reverse", "", "Turn the order round."),
    Key(("m", "insert"), "mark", "mark", "Mark or unmark the selected line."),
    Key(("M",), "mark-all", "", "Mark all lines, or none."),
    Key(("f",), "follow", "follow", "Stay at the newest line."),
)


@dataclass(frozen=True, slots=True)
class Column:
    """`get` gives a row's text and style; `columns` 0 takes what is left. `sort` gives the value to sort by."""

    title: str
    get: Callable[[State, Row], tuple[str, str]]
    columns: int = 0
    align: str = "<"
    sort: Callable[[Row], Any] | None = None
    least: int = 0  # hidden on a terminal narrower than this


class Listing:
    """A screen that is one table. Subclasses give name, title, columns, `want`, `identity`, and what `open` does."""

    name = ""
    title = ""
    columns: Sequence[Column] = ()
    extra: Sequence[Key] = ()
    empty = "Nothing here yet."
    headroom = 0  # lines above the table

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (self.extra, OPENING, FILTERING, MOVING)

    # ---- what subclasses say ------------------------------------------------------------------------------------

    def want(self, view: View) -> Want:
        raise TypeError(f"{self.name} reads nothing")

    def identity(self, row: Row) -> str:
        return str(row.get("id", row.get("name", "")))

    def open(self, state: State, row: Row) -> Outcome | None:
        return None

    def note(self, state: State, view: View) -> str:
        """A few words beside the count of rows."""
        return ""

    def above(self, area: Area, state: State, view: View) -> None:
        """Draws the lines above the table (`headroom` of them)."""

    def act(self, state: State, command: str, rows: list[Row]) -> Outcome | None:
        """What a command of `extra` does with the marked rows, or the selected one."""
        return None

    def source(self, state: State, view: View) -> list[Row]:
        return list(state.items(self.want(view)))

    # ---- Screen -------------------------------------------------------------------------------------------------

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (self.want(view),)

    def typing(self, state: State) -> bool:
        return False

    def type(self, state: State, message: Pressed) -> Outcome | None:
        return None

    def rows(self, state: State, view: View) -> list[Row]:
        """The rows in their order on the screen."""
        rows = self.source(state, view)
        column = next((c for c in self.columns if c.title == view.sort and c.sort), None)
        if column is not None and column.sort is not None:
            key = column.sort
            rows.sort(key=lambda row: _sortable(key(row)), reverse=view.descending)
        return rows

    def page(self, state: State) -> int:
        """How many rows fit: without header, footer, title, heading and what stands above."""
        return max(state.lines - 4 - self.headroom, 1)

    def settle(self, state: State) -> State:
        view = state.view
        rows = self.rows(state, view)
        cursor = 0 if view.follow else _place(rows, self.identity, view)
        chosen = self.identity(rows[cursor]) if rows else view.chosen
        page = self.page(state)
        top = min(max(view.top, cursor - page + 1, 0), cursor, max(len(rows) - page, 0)) if rows else 0
        top = max(top, cursor - page + 1)
        if (cursor, chosen, top) == (view.cursor, view.chosen, view.top):
            return state
        return state.change(cursor=cursor, chosen=chosen, top=top)

    def selected(self, state: State) -> Row | None:
        rows = self.rows(state, state.view)
        return rows[state.view.cursor] if state.view.cursor < len(rows) else None

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        if command in _MOVES:
            return self._moved(state, _MOVES[command](state.view.cursor, self.page(state))), ()
        if command == "open":
            row = self.selected(state)
            return self.open(state, row) if row is not None else (state, ())
        if command in ("sort", "reverse", "mark", "mark-all", "follow"):
            return self._arranged(state, command), ()
        rows = self.rows(state, state.view)
        marked = [row for row in rows if self.identity(row) in state.view.marked]
        return self.act(state, command, marked or rows[state.view.cursor : state.view.cursor + 1])

    def click(self, state: State, what: str, x: int, y: int) -> Outcome | None:
        if what in ("wheel-up", "wheel-down"):
            return self._moved(state, state.view.cursor + (3 if what == "wheel-down" else -3)), ()
        line = y - 2 - self.headroom
        if line == -1:
            return self._sorted_at(state, x), ()
        rows = self.rows(state, state.view)
        index = state.view.top + line
        if not (0 <= line < self.page(state) and index < len(rows)):
            return None
        again = index == state.view.cursor
        state = self._moved(state, index)
        return self.open(state, rows[index]) if what == "double" or again else (state, ())

    def _moved(self, state: State, to: int) -> State:
        rows = self.rows(state, state.view)
        if not rows:
            return state
        cursor = min(max(to, 0), len(rows) - 1)
        return state.change(cursor=cursor, chosen=self.identity(rows[cursor]), follow=state.view.follow and cursor == 0)

    def _arranged(self, state: State, command: str) -> State:
        view = state.view
        if command == "follow":
            return state.change(follow=not view.follow)
        if command == "reverse":
            return state.change(descending=not view.descending)
        if command == "sort":
            titles = ["", *(c.title for c in self.columns if c.sort)]
            return state.change(sort=titles[(titles.index(view.sort) + 1) % len(titles)] if view.sort in titles else "")
        names = {self.identity(row) for row in self.rows(state, view)}
        if command == "mark-all":
            return state.change(marked=frozenset() if names <= view.marked else view.marked | names)
        if view.chosen is None:
            return state
        state = state.change(marked=view.marked ^ {view.chosen})
        return self._moved(state, view.cursor + 1)

    def _sorted_at(self, state: State, x: int) -> State:
        place = 2
        for column, columns in zip(*self._widths(state, state.columns), strict=True):
            if place <= x < place + columns + 1 and column.sort:
                again = state.view.sort == column.title
                return state.change(sort=column.title, descending=again and not state.view.descending)
            place += columns + 1
        return state

    # ---- drawing ------------------------------------------------------------------------------------------------

    def _widths(self, state: State, room: int) -> tuple[list[Column], list[int]]:
        columns = [column for column in self.columns if room >= column.least]
        fixed = sum(column.columns + 1 for column in columns) + 2
        flexible = [column for column in columns if not column.columns]
        share = max((room - fixed) // len(flexible), 4) if flexible else 0
        return columns, [column.columns or share for column in columns]

    def draw(self, area: Area, state: State, view: View) -> None:
        rows = self.rows(state, view)
        self._draw_title(area, state, view, len(rows))
        self.above(area.part(0, 1, lines=self.headroom), state, view)
        columns, widths = self._widths(state, area.columns)
        self._draw_head(area.part(0, 1 + self.headroom), view, columns, widths, state)
        body = area.part(0, 2 + self.headroom)
        for line, row in enumerate(rows[view.top : view.top + body.lines]):
            self._draw_row(body, line, state, row, columns, widths)
            self._tint(body, line, view, row, view.top + line == view.cursor)
        if not rows:
            self._draw_empty(body, state, view)

    def _draw_title(self, area: Area, state: State, view: View, count: int) -> None:
        x = area.put(0, 0, f" {self.title} ", "title")
        x = area.put(x, 0, f"{count:,}", "accent")
        document = state.document(self.want(view))
        if isinstance(document, Mapping) and document.get("next_cursor"):
            x = area.put(x, 0, "+ newest", "dim")
        if view.query:
            x = area.put(x + 1, 0, f"/{view.query}", "warn")
        if view.marked:
            x = area.put(x + 1, 0, f"{len(view.marked):,} marked", "special")
        if view.follow:
            x = area.put(x + 1, 0, "following", "ok")
        said = self.note(state, view)
        if said:
            area.put(x + 2, 0, said, "dim")

    def _draw_head(self, area: Area, view: View, columns: Sequence[Column], widths: Sequence[int], state: State) -> None:
        x = 2
        for column, room in zip(columns, widths, strict=True):
            arrow = (("v" if view.descending else "^") if state.ascii_only else ("▼" if view.descending else "▲")) if view.sort == column.title else ""
            area.put(x, 0, text.pad(text.fit(column.title.upper() + arrow, room), room, column.align), "dim", room)
            x += room + 1

    def _draw_row(self, area: Area, line: int, state: State, row: Row, columns: Sequence[Column], widths: Sequence[int]) -> None:
        x = 2
        for column, room in zip(columns, widths, strict=True):
            shown, style = column.get(state, row)
            shown = text.fit(text.clean(shown), room)
            area.put(x, line, text.pad(shown, room, column.align) if column.align == ">" else shown, style, room)
            x += room + 1

    def _tint(self, area: Area, line: int, view: View, row: Row, here: bool) -> None:
        marked = self.identity(row) in view.marked
        if marked:
            area.put(0, line, "*", "special")
            area.tint(line, "@mark")
        if here:
            area.put(0, line, "*" if marked else ">", "key")
            area.tint(line, "@cursor")

    def _draw_empty(self, area: Area, state: State, view: View) -> None:
        answer = state.answer(self.want(view))
        if answer.problem:
            area.put(2, 1, answer.problem, "bad")
        elif answer.document is None:
            area.put(2, 1, "Reading ..." if state.link.condition != "away" else "Nothing was read yet.", "dim")
        else:
            area.put(2, 1, "Nothing matches this filter." if view.query else self.empty, "dim")


_MOVES: dict[str, Callable[[int, int], int]] = {
    "down": lambda cursor, page: cursor + 1,
    "up": lambda cursor, page: cursor - 1,
    "page-down": lambda cursor, page: cursor + page,
    "page-up": lambda cursor, page: cursor - page,
    "first": lambda cursor, page: 0,
    "last": lambda cursor, page: 1 << 30,
}


def _place(rows: Sequence[Row], identity: Callable[[Row], str], view: View) -> int:
    """Where the selected row is now; where it was when it is gone."""
    if view.chosen is not None:
        if view.cursor < len(rows) and identity(rows[view.cursor]) == view.chosen:
            return view.cursor
        for index, row in enumerate(rows):
            if identity(row) == view.chosen:
                return index
    return min(view.cursor, max(len(rows) - 1, 0))


def _sortable(value: Any) -> tuple[int, Any]:
    """None after everything else; numbers before texts."""
    if value is None:
        return (2, 0)
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def reset_selection(view: View) -> View:
    return replace(view, cursor=0, top=0, chosen=None)
