"""The columns of a table: which are shown, how wide, and how a row is drawn. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console import text
from console.state import State
from console.widgets.canvas import Area

Row = Mapping[str, Any]
MARGIN = 2  # before the first column: the marks of selection
GAP = 1
LEAST = 4


@dataclass(frozen=True, slots=True)
class Column:
    """`get` gives a row's text and style; `columns` 0 takes what is left. `sort` gives the value to sort by.

    It is shown on terminals of at least `least` columns, and of less than `below`.
    """

    title: str
    get: Callable[[State, Row], tuple[str, str]]
    columns: int = 0
    align: str = "<"
    sort: Callable[[Row], Any] | None = None
    least: int = 0
    below: int = 100_000


Laid = Sequence[tuple[Column, int, int]]  # a column, its place and its width


def laid(columns: Sequence[Column], room: int) -> Laid:
    """The columns that are shown in `room`; those without a width of their own share what is left."""
    shown = [column for column in columns if column.least <= room < column.below]
    fixed = sum(column.columns + GAP for column in shown) + MARGIN - GAP
    flexible = sum(not column.columns for column in shown)
    share = max((room - fixed) // flexible, LEAST) if flexible else 0
    places, x = [], MARGIN
    for column in shown:
        places.append((column, x, column.columns or share))
        x += (column.columns or share) + GAP
    return places


def column_at(places: Laid, x: int) -> Column | None:
    return next((column for column, place, room in places if place <= x < place + room + GAP), None)


def draw_head(area: Area, places: Laid, sort: str, descending: bool, ascii_only: bool) -> None:
    for column, x, room in places:
        arrow = (("v" if descending else "^") if ascii_only else ("▼" if descending else "▲")) if column.title == sort else ""
        title = text.fit(column.title.upper(), room - len(arrow)) + arrow
        area.put(x, 0, text.pad(title, room, column.align), "accent" if arrow else "dim", room)


def draw_row(area: Area, line: int, places: Laid, state: State, row: Row) -> None:
    for column, x, room in places:
        said, style = column.get(state, row)
        said = text.fit(text.clean(said), room)
        area.put(x, line, text.pad(said, room, column.align) if column.align == ">" else said, style, room)


def sortable(value: Any) -> tuple[int, Any]:
    """None after everything else; numbers before texts."""
    if value is None:
        return (2, 0)
    return (0, value) if isinstance(value, int | float) else (1, str(value))
