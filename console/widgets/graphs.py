"""Small graphs of text: bars, and graphs of braille dots. Pure."""

import itertools
from collections.abc import Sequence

from console.state import Sample

# the dots of a braille cell, of its left and its right column, from the lowest up (Unicode 16.0, chapter 21.1)
LEFT, RIGHT = (0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08)
BRAILLE = 0x2800


def area_graph(values: Sequence[float], columns: int, rows: int, *, ascii_only: bool = False) -> list[str]:
    """The last values as filled columns of dots, `rows` lines high, the greatest the highest: two values a cell in braille,
    one in ASCII. Any value above zero has at least one dot; the lowest line of zeros is drawn, so that time is seen to pass."""
    places = columns if ascii_only else 2 * columns
    steps = rows if ascii_only else 4 * rows
    shown = [0.0] * max(places - len(values), 0) + list(values)[-places:] if places > 0 else []
    top = max(shown, default=0.0)
    heights = [max(round(value / top * steps), 1) if value > 0 else 0 for value in shown]
    if ascii_only:
        return ["".join("#" if height > line else "." if line == 0 else " " for height in heights) for line in reversed(range(rows))]
    pairs = list(zip(heights[::2], heights[1::2], strict=True))
    return ["".join(_cell(left, right, line) for left, right in pairs) for line in reversed(range(rows))]


def _cell(left: int, right: int, line: int) -> str:
    base = 1 if line == 0 else 0  # the ground line
    dots = sum(LEFT[:min(max(left - 4 * line, base), 4)]) + sum(RIGHT[:min(max(right - 4 * line, base), 4)])
    return chr(BRAILLE + dots) if dots else " "


def bar(part: float, columns: int, *, ascii_only: bool = False) -> str:
    """A bar of `columns` cells, filled to `part` (0 to 1)."""
    filled = min(max(round(part * columns), 0), columns)
    on, off = ("#", ".") if ascii_only else ("█", "░")
    return on * filled + off * (columns - filled)


def per_second(samples: Sequence[Sample], now: float, seconds: int) -> list[float]:
    """Jobs that ended in each of the last `seconds` whole seconds, by sums that were sampled in between; 0 where nothing is known."""
    rates = [0.0] * seconds
    last = int(now)
    for before, after in itertools.pairwise(samples):
        rate = max(after.ended - before.ended, 0) / max(after.at - before.at, 0.001)
        for second in range(max(int(before.at), last - seconds), min(int(after.at), last)):
            rates[second - last + seconds] = rate
    return rates
