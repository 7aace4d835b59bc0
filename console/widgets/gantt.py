"""Where a job's time went, as one bar. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from console.widgets.canvas import Span
from contracts.times import MICROSECONDS, from_rfc3339

# what a state looks like: Unicode, ASCII, style; states that are not here take no time
LOOKS = {
    "waiting": ("·", ".", "dim"), "scheduled": ("·", ".", "dim"), "retrying": ("·", ".", "warn"), "queued": ("░", "-", "info"),
    "running": ("█", "#", "active"),
}  # fmt: skip
Stretch = tuple[str, float]  # a state, and the seconds in it


def stretches(events: Sequence[Mapping[str, Any]], now: float) -> list[Stretch]:
    """The states that a job was in, one after the other; `now` is in seconds since the epoch. What an attempt took beyond its
    handler's own time it waited for a worker, behind others that its processor had."""
    found: list[Stretch] = []
    moves = [(str(data["to"]), from_rfc3339(event["time"]) / MICROSECONDS, data) for event in events if (data := event.get("data") or {}).get("to")]
    for index, (status, begin, _) in enumerate(moves):
        end, after = (moves[index + 1][1], moves[index + 1][2]) if index + 1 < len(moves) else (now, {})
        if status not in LOOKS:
            continue
        _add(found, status, max(end - begin, 0.0))
        if status == "running" and after.get("ran_seconds") is not None and after["to"] != "running":
            ran = min(max(after["ran_seconds"], 0.0), found[-1][1])
            waited = found.pop()[1] - ran
            _add(found, "queued", waited)
            _add(found, "running", ran)
    return found


def _add(found: list[Stretch], status: str, seconds: float) -> None:
    if found and found[-1][0] == status:
        found[-1] = (status, found[-1][1] + seconds)
    else:
        found.append((status, seconds))


def gantt(parts: Sequence[Stretch], columns: int, ascii_only: bool = False) -> list[Span]:
    """A bar of `columns` cells: each stretch in proportion, but seen; of more stretches than cells the last ones."""
    parts = parts[-columns:] if columns > 0 else []
    if not parts:
        return []
    total, free = sum(seconds for _, seconds in parts), columns - len(parts)
    cells = [1 + int(free * seconds / total) if total else 1 for _, seconds in parts]
    longest = max(range(len(parts)), key=lambda index: parts[index][1])
    cells[longest] += columns - sum(cells)
    return [(LOOKS[status][1 if ascii_only else 0] * width, LOOKS[status][2]) for (status, _), width in zip(parts, cells, strict=True)]
