"""Instants as integer microseconds since the epoch (UTC), and their RFC 3339 form.

Stores keep integers, so that sums and comparisons are exact; events and answers carry RFC 3339 text with six decimals.
"""

import time
from datetime import UTC, datetime
from functools import lru_cache

MICROSECONDS = 1_000_000


@lru_cache(maxsize=64)
def _whole_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def to_rfc3339(micros: int) -> str:
    """RFC 3339 section 5.6 text of an instant in microseconds: ``2026-11-24T08:15:00.000000Z``."""
    seconds, fraction = divmod(micros, MICROSECONDS)
    return f"{_whole_second(seconds)}.{fraction:06d}Z"


def from_rfc3339(text: str) -> int:
    """Microseconds of an RFC 3339 date-time. Raises ValueError without a zone, or when it is no such text."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; add 'Z' or an offset such as '+02:00'")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * MICROSECONDS + delta.microseconds


def optional_rfc3339(micros: int | None) -> str | None:
    """As to_rfc3339; None stays None."""
    return None if micros is None else to_rfc3339(micros)


def seconds_between(start: int, end: int) -> float:
    """Seconds from one instant to another, exact to the microsecond, never below zero."""
    return max(end - start, 0) / MICROSECONDS


def to_micros(seconds: float) -> int:
    """Whole microseconds of a number of seconds, rounded to nearest."""
    return round(seconds * MICROSECONDS)
