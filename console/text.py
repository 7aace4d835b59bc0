"""Text for people: made harmless, measured in columns, and put into tables. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# CSI ... final byte; OSC, DCS, SOS, PM, APC ... until BEL or ST; two-byte escapes (ECMA-48, section 5)
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
ELLIPSIS = "…"


def clean(text: str, *, lines: bool = False) -> str:
    """Text from jobs, made harmless: escape sequences go, control and bidirectional characters are shown as `\\x..`.

    `lines` keeps line breaks (CR counts as one) and tabs, as spaces; without it the result is one line.
    """
    if text.isprintable():
        return text
    text = _SEQUENCE.sub("", text)
    if lines:
        text = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(8)
    return "".join(_harmless(ch, lines) for ch in text)


def _harmless(ch: str, lines: bool) -> str:
    if ch.isprintable() or (lines and ch == "\n"):
        return ch
    if ch.isspace() and ch not in "\x1c\x1d\x1e\x1f\x85\u2028\u2029":
        return " "
    return ch.encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """Columns that a clean text takes on a terminal."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    return max(wcswidth(text), 0)


def fit(text: str, columns: int) -> str:
    """At most `columns` columns of a clean one-line text; what was cut off shows as an ellipsis."""
    if width(text) <= columns:
        return text
    if columns <= 1:
        return ELLIPSIS[:columns]
    if text.isascii():
        return text[: columns - 1] + ELLIPSIS
    kept, used = [], 0
    for cluster in _clusters(text):
        used += width(cluster)
        if used > columns - 1:
            break
        kept.append(cluster)
    return "".join(kept) + ELLIPSIS


def _clusters(text: str) -> Iterable[str]:
    from wcwidth import iter_graphemes

    return iter_graphemes(text)


def pad(text: str, columns: int, align: str = "<") -> str:
    """Text filled up with spaces to `columns`; `align` is < or >."""
    space = " " * max(columns - width(text), 0)
    return space + text if align == ">" else text + space


# ---- numbers and times ------------------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """`850 µs`, `12 ms`, `4.2 s`, `3 m 20 s`, `2 h 5 m`, `3 d 4 h`; a dash for None."""
    if seconds is None:
        return "-"
    if seconds < 0:
        return "-" + duration(-seconds)
    for limit, factor, unit in ((0.0009995, 1e6, "µs"), (0.9995, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.0f} {unit}"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3_600:
        return f"{whole // 60} m {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60} m"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def age(seconds: float) -> str:
    """An age for people: `now`, `12 s`, `3 m 20 s`, `2 h 5 m`."""
    whole = max(int(seconds), 0)
    return "now" if whole < 1 else f"{whole} s" if whole < 60 else duration(whole)


def count(number: float) -> str:
    """`12,345`."""
    return f"{number:,.0f}"


def size(octets: float) -> str:
    """`812 B`, `1.2 MB` (powers of 1,000)."""
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if octets >= factor:
            return f"{octets / factor:.1f} {unit}"
    return f"{octets:.0f} B"


def percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction * 100:.1f} %"


def pretty(value: Any) -> str:
    """Readable JSON, harmless on a terminal."""
    import json

    return clean(json.dumps(value, indent=2, ensure_ascii=False), lines=True)


def short(value: Any) -> str:
    """JSON on one line, harmless on a terminal."""
    import json

    return clean(json.dumps(value, ensure_ascii=False))


# ---- tables -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """`align` is < or >; a `flexible` column gives way first when the terminal is narrow, down to `least`; then columns
    with a `drop` are left out, the highest first."""

    title: str
    align: str = "<"
    flexible: bool = False
    least: int = 0
    drop: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with a colour's name."""

    text: str
    colour: str = ""


Row = Sequence[str | Cell]


def table(columns: Sequence[Column], rows: Sequence[Row], room: int | None, paint: "Painter", *, header: bool = True) -> list[str]:
    """The lines of a table, clean and aligned; `room` is the terminal's width, None for as wide as it takes."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [_widest(i, column, cells, header) for i, column in enumerate(columns)]
    kept = _kept(widths, columns, room)
    columns, widths, cells = [columns[i] for i in kept], [widths[i] for i in kept], [[row[i] for i in kept] for row in cells]
    _squeeze(widths, columns, room)
    lines = [paint(_line(columns, [Cell(column.title) for column in columns], widths, Painter(False)), "dim")] if header else []
    return lines + [_line(columns, row, widths, paint) for row in cells]


def _cell(value: str | Cell) -> Cell:
    cell = value if isinstance(value, Cell) else Cell(value)
    return cell if cell.text.isprintable() else Cell(clean(cell.text), cell.colour)


def _widest(index: int, column: Column, rows: Sequence[Sequence[Cell]], header: bool) -> int:
    return max(column.least, width(column.title) if header else 0, *(width(row[index].text) for row in rows), 0)


def _kept(widths: Sequence[int], columns: Sequence[Column], room: int | None) -> list[int]:
    """The columns for which there is room, each at the least that it takes."""
    kept = list(range(len(columns)))
    if room is None:
        return kept
    least = [min(width, max(column.least, 4)) if column.flexible else width for width, column in zip(widths, columns, strict=True)]
    for index in sorted((i for i in kept if columns[i].drop), key=lambda i: -columns[i].drop):
        if sum(least[i] for i in kept) + 2 * (len(kept) - 1) > room:
            kept.remove(index)
    return kept


def _squeeze(widths: list[int], columns: Sequence[Column], room: int | None) -> None:
    if room is None:
        return
    excess = sum(widths) + 2 * (len(widths) - 1) - room
    for index in sorted((i for i, column in enumerate(columns) if column.flexible), key=lambda i: -widths[i]):
        taken = min(max(excess, 0), max(widths[index] - max(columns[index].least, 4), 0))
        widths[index] -= taken
        excess -= taken


def _line(columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int], paint: "Painter") -> str:
    parts = []
    for index, (column, cell, columns_) in enumerate(zip(columns, row, widths, strict=True)):
        text = fit(cell.text, columns_)
        last = index == len(columns) - 1 and column.align == "<"
        parts.append(paint(text, cell.colour) + ("" if last else " " * (columns_ - width(text))) if column.align == "<"
                     else paint(pad(text, columns_, ">"), cell.colour))  # fmt: skip
    return "  ".join(parts).rstrip()


# ---- colour -----------------------------------------------------------------------------------------------------

_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36", "dim": "2", "bold": "1"}
STATE_COLOURS = {
    "waiting": "dim", "scheduled": "blue", "queued": "blue", "running": "cyan", "retrying": "yellow",
    "succeeded": "green", "failed": "red", "cancelled": "magenta",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Painter:
    """Colours text when `on`; a pipe, a file and NO_COLOR get plain text."""

    on: bool

    def __call__(self, text: str, colour: str) -> str:
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.on and colour and text else text


def state_cell(status: str) -> Cell:
    """A job's state in its colour."""
    return Cell(status, STATE_COLOURS.get(status, ""))
