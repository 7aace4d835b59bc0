"""Instants as the verbs show them: UTC, so that two people read the same."""

import time

from contracts.times import MICROSECONDS, to_rfc3339


def now_text() -> str:
    """Now as RFC 3339."""
    return to_rfc3339(time.time_ns() // (1_000_000_000 // MICROSECONDS))


def instant(text: str | None) -> str:
    """`2026-11-24 08:15:00.123 UTC`; a dash for None."""
    return "-" if not text else f"{text[:10]} {text[11:23]} UTC"


def clock(text: str | None) -> str:
    """`08:15:00.123`, for lines that follow each other."""
    return "" if not text else text[11:23]
