"""A list of things as a table: select, scroll, sort, filter, mark, page, open. Screens say what is in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from console import text
from console.keys import MOVING, OPENING, Key
from console.messages import Pressed, Want
from console.screens.screen import Outcome
from console.state import State, View
from console.widgets import table
from console.widgets.canvas import Area
from console.widgets.table import Column, Row

FILTERING = (
    Key(("/",), "filter", "filter", "Filter; Tab completes."),
    Key(("s",), "sort", "sort", "Sort by the next column."),
    Key(("S",), "reverse", "", "Turn the order round."),
    Key(("f",), "follow", "follow", "Stay at the first line, whatever comes."),
)
MARKING = (
    Key(("m", "insert"), "mark", "mark", "Mark or unmark the selected line."),
    Key(("M",), "mark-all", "", "Mark all lines, or none."),
)
PAGING = (
    Key(("]",), "next-page", "", "What comes after the lines that are listed."),
    Key(("[",), "previous-page", "", "What came before them."),
)
DETAILED_LINES = 20  # a smaller terminal has no room for details


class Listing:
    """A screen that is one table. Subclasses give name, title, columns, `want`, `identity`, and what `open` does.

    The rows that were made last are kept, for a frame asks for them several times, and most messages change none.
    """

    name = ""
    title = ""
    without: Sequence[str] = ()
    columns: Sequence[Column] = ()
    extra: Sequence[Key] = ()
    empty = "Nothing here yet."
    headroom = 0  # lines above the table
    limit = 0  # rows a page; 0: the list has no pages
    marking = True
    detailed = True  # below the table stands what its columns have no room for, of the selected row
    newest_first = False  # then it stays at the first line until somebody moves

    def __init__(self) -> None:
        self._made: tuple[tuple[Any, ...], list[Row]] | None = None

    @property
    def keys(self) -> Sequence[Sequence[Key]]:
        return (self.extra, OPENING, FILTERING, MARKING if self.marking else (), PAGING if self.limit else (), MOVING)

    # ---- what subclasses say ------------------------------------------------------------------------------------

    def want(self, view: View) -> Want:
        """What the list is read from, without its page."""
        raise TypeError(f"{self.name} reads nothing")

    def shown_columns(self, view: View) -> Sequence[Column]:
        return self.columns

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
        """The rows in the order that the server gave them."""
        return list(state.items(self.page_want(view)))

    def made_from(self, state: State, view: View) -> tuple[Any, ...]:
        """What the rows depend on."""
        return (state.document(self.page_want(view)), view.query, view.sort, view.descending, view.tab)

    # ---- rows ---------------------------------------------------------------------------------------------------

    def page_want(self, view: View) -> Want:
        want = self.want(view)
        return replace(want, query=(*want.query, ("cursor", view.pages[-1]))) if view.pages else want

    def wants(self, state: State, view: View) -> Sequence[Want]:
        return (self.page_want(view),)

    def rows(self, state: State, view: View) -> list[Row]:
        """The rows in their order on the screen."""
        parts = self.made_from(state, view)
        if self._made is None or not _are_same(self._made[0], parts):
            self._made = (parts, self._sorted(self.source(state, view), view))
        return self._made[1]

    def _sorted(self, rows: list[Row], view: View) -> list[Row]:
        column = next((c for c in self.shown_columns(view) if c.title == view.sort and c.sort), None)
        if column is None or column.sort is None:
            return rows
        key = column.sort
        return sorted(rows, key=lambda row: table.sortable(key(row)), reverse=view.descending)

    def page(self, state: State) -> int:
        """How many rows fit: without header, footer, title, heading, what stands above and what stands below."""
        return max(state.lines - 4 - self.headroom - self._footroom(state), 1)

    def _footroom(self, state: State) -> int:
        """Lines of the details and of the rule above them."""
        if not self.detailed or state.lines < DETAILED_LINES:
            return 0
        return 4 if state.columns < 110 else 3

    def settle(self, state: State) -> State:
        view = state.view
        rows = self.rows(state, view)
        if not rows and state.document(self.page_want(view)) is None:
            return state
        if self.newest_first and view.chosen is None and not (view.follow or view.pages or view.sort or view.cursor):
            view = replace(view, follow=True)
        cursor = 0 if view.follow else _place(rows, self.identity, view)
        chosen = self.identity(rows[cursor]) if rows else view.chosen
        page = self.page(state)
        top = min(max(view.top, cursor - page + 1, 0), cursor, max(len(rows) - page, 0)) if rows else 0
        top = max(top, cursor - page + 1)
        settled = replace(view, cursor=cursor, chosen=chosen, top=top)
        return state if settled == state.view else state.with_view(settled)

    def selected(self, state: State) -> Row | None:
        rows = self.rows(state, state.view)
        return rows[state.view.cursor] if state.view.cursor < len(rows) else None

    # ---- keys and mouse -----------------------------------------------------------------------------------------

    def typing(self, state: State) -> bool:
        return False

    def type(self, state: State, message: Pressed) -> Outcome | None:
        return None

    def command(self, state: State, command: str, key: str) -> Outcome | None:
        if command in _MOVES:
            return self._step(state, command), ()
        if command == "open":
            row = self.selected(state)
            return self.open(state, row) if row is not None else (state, ())
        if command in ("next-page", "previous-page"):
            return self._turned(state, command), ()
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

    def _step(self, state: State, command: str) -> State:
        """One move; over the end of a page it goes to the next one, and back."""
        view, rows = state.view, self.rows(state, state.view)
        to = _MOVES[command](view.cursor, self.page(state))
        if command in ("down", "page-down") and rows and view.cursor == len(rows) - 1:
            return self._turned(state, "next-page")
        if command in ("up", "page-up") and view.cursor == 0 and view.pages:
            return self._turned(state, "previous-page")
        if command == "first" and (view.pages or self.newest_first):
            return state.change(pages=(), cursor=0, top=0, chosen=None)  # it follows again
        return self._moved(state, to)

    def _turned(self, state: State, command: str) -> State:
        view = state.view
        if command == "previous-page":
            return state.change(pages=view.pages[:-1], cursor=1 << 30, top=0, chosen=None) if view.pages else state
        after = (state.document(self.page_want(view)) or {}).get("next_cursor") if self.limit else None
        return state.change(pages=(*view.pages, str(after)), cursor=0, top=0, chosen=None, follow=False) if after else state

    def _moved(self, state: State, to: int) -> State:
        rows = self.rows(state, state.view)
        if not rows:
            return state
        cursor = min(max(to, 0), len(rows) - 1)
        return state.change(cursor=cursor, chosen=self.identity(rows[cursor]), follow=state.view.follow and cursor == 0)

    def _arranged(self, state: State, command: str) -> State:
        view = state.view
        if command == "follow":
            return state.change(follow=not view.follow, pages=() if not view.follow else view.pages, sort="" if not view.follow else view.sort)
        if command == "reverse":
            return state.change(descending=not view.descending) if view.sort else state
        if command == "sort":
            titles = ["", *dict.fromkeys(column.title for column, _, _ in self._laid(state) if column.sort)]
            return state.change(sort=titles[(titles.index(view.sort) + 1) % len(titles)] if view.sort in titles else "", descending=False)
        rows = self.rows(state, view)
        if command == "mark-all":
            return state.change(marked=frozenset() if view.marked else frozenset(map(self.identity, rows)))
        if not rows:
            return state
        here = self.identity(rows[view.cursor])
        return self._moved(state.change(marked=view.marked ^ {here}), view.cursor + 1)

    def _sorted_at(self, state: State, x: int) -> State:
        column = table.column_at(self._laid(state), x)
        if column is None or column.sort is None:
            return state
        again = state.view.sort == column.title
        return state.change(sort=column.title, descending=again and not state.view.descending)

    # ---- drawing ------------------------------------------------------------------------------------------------

    def _laid(self, state: State) -> table.Laid:
        return table.laid(self.shown_columns(state.view), state.columns)

    def draw(self, area: Area, state: State, view: View) -> None:
        rows = self.rows(state, view)
        self._draw_title(area, state, view, len(rows))
        self.above(area.part(0, 1, lines=self.headroom), state, view)
        places = self._laid(state)
        table.draw_head(area.part(0, 1 + self.headroom), places, view.sort, view.descending, state.ascii_only)
        footroom = self._footroom(state)
        body = area.part(0, 2 + self.headroom, lines=max(area.lines - 2 - self.headroom - footroom, 0))
        for line, row in enumerate(rows[view.top : view.top + body.lines]):
            table.draw_row(body, line, places, state, row)
            self._tint(body, line, view, row, view.top + line == view.cursor)
        if not rows:
            self._draw_empty(body, state, view)
        elif footroom and view.cursor < len(rows):
            self._draw_details(area.part(0, area.lines - footroom), state, self._untold(state, view, rows[view.cursor], places))

    def _untold(self, state: State, view: View, row: Row, places: table.Laid) -> list[tuple[str, str, str]]:
        """(title, text, style) of what the table does not show of a row: columns that there is no room for, and what was cut."""
        shown = {id(column): room for column, _, room in places}
        told = {(column.title, text.clean(column.get(state, row)[0])) for column, _, _ in places}
        missing, cut = [], []
        for column in self.shown_columns(view):
            said, style = column.get(state, row)
            said = text.clean(said)
            if id(column) in shown and text.width(said) > shown[id(column)]:
                cut.append((column.title, said, style))
            elif id(column) not in shown and column.below > state.columns and column.title and said and (column.title, said) not in told:
                missing.append((column.title, said, style))
        whole = {title for title, _, _ in missing}
        return [*missing, *(found for found in cut if found[0] not in whole)]

    @staticmethod
    def _draw_details(area: Area, state: State, parts: Sequence[tuple[str, str, str]]) -> None:
        """One after the other; what is longer than a line goes on in the next one."""
        if parts:
            area.line(0, "-" if state.ascii_only else "─", "faint")
        x, y = 1, 1
        for title, said, style in parts:
            if x > 1 and x + text.width(title) + 1 + min(text.width(said), 30) > area.columns:
                x, y = 1, y + 1
            x, rest = area.put(x, y, title, "dim") + 1, said
            while y < area.lines - 1 and text.width(rest) > area.columns - x:
                first = text.fit(rest, area.columns - x + 1).removesuffix(text.ELLIPSIS)
                first = first.rpartition(" ")[0] or first
                area.put(x, y, first, style)
                rest, x, y = rest[len(first) :].lstrip(), 1, y + 1
            x = area.put(x, y, rest, style) + 2

    def _draw_title(self, area: Area, state: State, view: View, count: int) -> None:
        x = area.put(0, 0, f" {self.title} ", "title")
        first = len(view.pages) * self.limit
        x = area.put(x, 0, f"{first + 1:,} to {first + count:,}" if view.pages and count else f"{count:,}", "accent") + 1
        answer = state.answer(self.page_want(view))
        more = isinstance(answer.document, Mapping) and answer.document.get("next_cursor") is not None
        parts: list[tuple[str, str]] = [(self.note(state, view) or ("newest; ] goes on" if more and self.limit else ""), "dim")]
        parts += [(f"/{view.query}" if view.query else "", "warn"), (f"{len(view.marked):,} marked" if view.marked else "", "special")]
        parts += [("following" if view.follow else "", "ok"), (answer.problem if answer.problem and count else "", "bad")]
        stale = state.stale(self.page_want(view))
        parts.append((f"{text.age(stale)} old" if stale is not None else "", "bad"))
        for said, style in parts:
            if said:
                x = area.put(x, 0, said, style) + 2

    def _tint(self, area: Area, line: int, view: View, row: Row, here: bool) -> None:
        marked = self.identity(row) in view.marked
        if marked:
            area.put(0, line, "*", "special")
            area.tint(line, "@mark")
        if here:
            area.put(0, line, "*" if marked else ">", "key")
            area.tint(line, "@cursor")

    def _draw_empty(self, area: Area, state: State, view: View) -> None:
        answer = state.answer(self.page_want(view))
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


def _are_same(before: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    """Texts and numbers by their value; documents, which never change, by being the same one."""
    return len(before) == len(now) and all(a is b or (isinstance(a, str | int) and a == b) for a, b in zip(before, now, strict=True))


def _place(rows: Sequence[Row], identity: Callable[[Row], str], view: View) -> int:
    """Where the selected row is now; where it was when it is gone."""
    if view.chosen is not None:
        if view.cursor < len(rows) and identity(rows[view.cursor]) == view.chosen:
            return view.cursor
        for index, row in enumerate(rows):
            if identity(row) == view.chosen:
                return index
    return min(view.cursor, max(len(rows) - 1, 0))


__all__ = ["Column", "Listing", "Row"]
