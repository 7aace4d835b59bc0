"""Where a job's time went, as one bar. Pure."""

from collections.abc import Sequence

from console.timeline import Stretch
from console.widgets.canvas import Span

# what a state looks like: Unicode, ASCII, style
LOOKS = {
    "waiting": ("·", ".", "dim"), "scheduled": ("·", ".", "dim"), "retrying": ("·", ".", "warn"), "queued": ("░", "-", "info"),
    "running": ("█", "#", "active"),
}  # fmt: skip
def gantt(parts: Sequence[Stretch], columns: int, ascii_only: bool = False) -> list[Span]:
    """A bar of `columns` cells: each stretch in proportion, but seen; of more stretches than cells the last ones."""
    parts = [part for part in parts if part[0] in LOOKS][-columns:] if columns > 0 else []
    if not parts:
        return []
    total, free = sum(seconds for _, seconds in parts), columns - len(parts)
    cells = [1 + int(free * seconds / total) if total else 1 for _, seconds in parts]
    longest = max(range(len(parts)), key=lambda index: parts[index][1])
    cells[longest] += columns - sum(cells)
    return [(LOOKS[status][1 if ascii_only else 0] * width, LOOKS[status][2]) for (status, _), width in zip(parts, cells, strict=True)]
