"""Small graphs of text: sparklines and bars. Pure."""

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.:-=+*#"


def sparkline(values: Sequence[float], columns: int, *, ascii_only: bool = False) -> str:
    """The last `columns` values as bars of eight heights, the greatest the highest; zero is the lowest. Padded on the left."""
    marks = ASCII if ascii_only else BLOCKS
    shown = list(values)[-columns:] if columns > 0 else []
    top = max(shown, default=0)
    bars = "".join(marks[min(round(value / top * 7), 7) if top > 0 and value > 0 else 0] for value in shown)
    bars = "".join(marks[1] if value > 0 and mark == marks[0] else mark for mark, value in zip(bars, shown, strict=True))
    return " " * (columns - len(bars)) + bars


def bar(part: float, columns: int, *, ascii_only: bool = False) -> str:
    """A bar of `columns` cells, filled to `part` (0 to 1)."""
    filled = min(max(round(part * columns), 0), columns)
    on, off = ("#", ".") if ascii_only else ("█", "░")
    return on * filled + off * (columns - filled)
