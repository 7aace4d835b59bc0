"""A grid of cells that a screen is drawn on. Pure: what is drawn can be compared as text."""

from collections.abc import Iterable, Sequence

from console.text import ELLIPSIS, clean, fit, width

LIKENESS = {ELLIPSIS: "~", "µ": "u", "·": ".", "–": "-", "—": "-", "\u00a0": " "}
Span = tuple[str, str]  # text and the name of its style (see theme.py)


class Canvas:
    """`columns` x `lines` cells, each a character and a style's name. What lies outside is cut off.

    A wide character takes its cell and leaves the next one empty (""), so a line is always as wide as the grid.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = max(columns, 0), max(lines, 0)
        self.cells = [[" "] * self.columns for _ in range(self.lines)]
        self.styles = [[""] * self.columns for _ in range(self.lines)]

    def text(self) -> str:
        """The screen as text, without trailing spaces."""
        return "\n".join("".join(line).rstrip() for line in self.cells)

    def area(self) -> "Area":
        return Area(self, 0, 0, self.columns, self.lines)

    def to_ascii(self) -> None:
        """For terminals without Unicode: what has no likeness in ASCII becomes a question mark, as wide as it was."""
        for cells in self.cells:
            for start, cell in enumerate(cells):
                x = start
                if not cell.isascii():
                    cells[x] = LIKENESS.get(cell, "?")
                    while (x := x + 1) < len(cells) and cells[x] == "":  # what is drawn as one may take three cells
                        cells[x] = "?"


class Area:
    """A rectangle of a canvas with its own origin; drawing never leaves it."""

    def __init__(self, canvas: Canvas, x: int, y: int, columns: int, lines: int) -> None:
        self._canvas, self.x, self.y = canvas, x, y
        self.columns = max(min(columns, canvas.columns - x), 0)
        self.lines = max(min(lines, canvas.lines - y), 0)

    def part(self, x: int, y: int, columns: int | None = None, lines: int | None = None) -> "Area":
        """A rectangle within this one; by default all that is to the right and below."""
        x, y = min(max(x, 0), self.columns), min(max(y, 0), self.lines)
        columns = self.columns - x if columns is None else min(columns, self.columns - x)
        lines = self.lines - y if lines is None else min(lines, self.lines - y)
        return Area(self._canvas, self.x + x, self.y + y, columns, lines)

    def put(self, x: int, y: int, text: str, style: str = "", room: int | None = None) -> int:
        """Draws harmless text from (x, y), shortened to `room` columns; returns the column after it."""
        if not (0 <= y < self.lines and 0 <= x < self.columns):
            return x
        space = self.columns - x if room is None else min(room, self.columns - x)
        text = fit(clean(text), space)
        return x + self._write(self.x + x, self.y + y, text, style)

    def _write(self, x: int, y: int, text: str, style: str) -> int:
        cells, styles = self._canvas.cells[y], self._canvas.styles[y]
        if text.isascii():
            cells[x : x + len(text)] = text
            styles[x : x + len(text)] = [style] * len(text)
            return len(text)
        return _write_wide(cells, styles, x, text, style)

    def spans(self, x: int, y: int, spans: Iterable[Span], room: int | None = None) -> int:
        """Draws pieces of text one after the other; returns the column after them."""
        end = self.columns if room is None else min(x + room, self.columns)
        for text, style in spans:
            if x >= end:
                break
            x = self.put(x, y, text, style, end - x)
        return x

    def right(self, y: int, spans: Sequence[Span], margin: int = 0) -> int:
        """Draws pieces of text so that they end at the right edge; returns the column where they begin."""
        total = sum(width(clean(text)) for text, _ in spans)
        start = max(self.columns - margin - total, 0)
        self.spans(start, y, spans)
        return start

    def line(self, y: int, character: str = "─", style: str = "border", x: int = 0, columns: int | None = None) -> None:
        self.put(x, y, character * max((self.columns - x) if columns is None else columns, 0), style)

    def tint(self, y: int, suffix: str, x: int = 0, columns: int | None = None) -> None:
        """Adds a suffix (such as `@cursor`) to the style of each cell of a line."""
        if not 0 <= y < self.lines:
            return
        first, last = self.x + x, self.x + (self.columns if columns is None else min(x + columns, self.columns))
        styles = self._canvas.styles[self.y + y]
        styles[first:last] = [style.partition("@")[0] + suffix for style in styles[first:last]]

    def clear(self) -> None:
        for y in range(self.lines):
            self.put(0, y, " " * self.columns)


def _write_wide(cells: list[str], styles: list[str], x: int, text: str, style: str) -> int:
    from wcwidth import iter_graphemes

    start = x
    for cluster in iter_graphemes(text):
        columns = width(cluster)
        if columns < 1:
            continue
        cells[x : x + columns] = [cluster] + [""] * (columns - 1)
        styles[x : x + columns] = [style] * columns
        x += columns
    return x - start


def box(area: Area, title: str = "", style: str = "border", title_style: str = "title", ascii_only: bool = False) -> Area:
    """Draws a frame with a title, and returns what is inside of it."""
    corners, across, down = ("++++", "-", "|") if ascii_only else ("╭╮╰╯", "─", "│")
    if area.columns < 2 or area.lines < 2:
        return area
    area.put(0, 0, corners[0] + across * (area.columns - 2) + corners[1], style)
    area.put(0, area.lines - 1, corners[2] + across * (area.columns - 2) + corners[3], style)
    for y in range(1, area.lines - 1):
        area.put(0, y, down, style)
        area.put(area.columns - 1, y, down, style)
    if title:
        area.put(2, 0, f" {fit(clean(title), max(area.columns - 6, 1))} ", title_style)
    return area.part(1, 1, area.columns - 2, area.lines - 2)


__all__ = ["ELLIPSIS", "Area", "Canvas", "Span", "box"]
