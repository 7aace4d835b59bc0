"""Instants as the verbs show them: UTC, so that two people read the same."""

import time

from console import timeline
from console.text import duration
from contracts.times import MICROSECONDS, from_rfc3339, to_rfc3339


def now_text() -> str:
    """Now as RFC 3339."""
    return to_rfc3339(time.time_ns() // (1_000_000_000 // MICROSECONDS))


def instant(text: str | None) -> str:
    """`2026-11-24 08:15:00.123 UTC`; a dash for None."""
    return "-" if not text else f"{text[:10]} {text[11:23]} UTC"


def instant_words(text: str) -> str:
    """An RFC 3339 instant of any zone: `2026-11-24 08:15:00 UTC (in 3 m 20 s)`."""
    at = to_rfc3339(from_rfc3339(text))
    return f"{at[:10]} {at[11:19]} UTC ({until(at, now_text())})"


def until(text: str | None, now: str) -> str:
    """`in 3 m 20 s`; `now` for what is due; a dash for None."""
    if text is None:
        return "-"
    seconds = timeline.seconds_since(now, text)
    return f"in {duration(seconds)}" if seconds > 0 else "now"


def since(text: str | None, now: str) -> str:
    """`3 m 20 s ago`; a dash for None."""
    return "-" if text is None else f"{duration(max(timeline.seconds_since(text, now), 0.0))} ago"


def clock(text: str | None) -> str:
    """`08:15:00.123`, for lines that follow each other."""
    return "" if not text else text[11:23]
