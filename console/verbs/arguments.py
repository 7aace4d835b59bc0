"""What several verbs take, as argparse converts it."""

import argparse
import math
import re
from datetime import UTC, datetime, timedelta

_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)(?:s|$))?(?:(\d+(?:\.\d+)?)ms)?")
_UNITS = (86_400, 3_600, 60, 1, 0.001)
_CLOCK = re.compile(r"(?:(today|tomorrow) )?(\d{1,2}):(\d{2})(?::(\d{2}))?")


def positive(text: str) -> int:
    """A whole number above 0."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**9):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def whole(text: str) -> int:
    """A whole number."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def span(text: str) -> float:
    """`1h30m` -> 5400; a bare number is seconds."""
    parts = _SPAN.fullmatch(text.strip().replace(" ", ""))
    if parts is None or not any(parts.groups()):
        raise argparse.ArgumentTypeError(f"{text!r} is no span; write 500ms, 30s, 10m, 2h, 1d or 1h30m")
    seconds = sum(float(part) * unit for part, unit in zip(parts.groups(), _UNITS, strict=True) if part)
    return int(seconds) if seconds == int(seconds) else seconds


def wait_span(text: str) -> float:
    """A span, or for ever."""
    return math.inf if text == "inf" else span(text)


def is_span(text: str) -> bool:
    parts = _SPAN.fullmatch(text)
    return parts is not None and any(parts.groups())


def instant(text: str) -> str:
    """An instant as RFC 3339: written so already, or by this machine's clock and zone: `2026-12-24 18:00`, `18:00` (the next
    one), `tomorrow 8:00`, `+2h30m`."""
    return instant_from(text, datetime.now().astimezone())


def instant_from(text: str, now: datetime) -> str:
    """As `instant`, as of an aware `now`."""
    text = text.strip()
    if text.startswith("+"):
        return _utc(now + timedelta(seconds=span(text[1:])))
    if clock := _CLOCK.fullmatch(text.lower()):
        return _utc(_next(clock, now))
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no instant; write 2026-12-24T18:00:00Z, 2026-12-24 18:00 (by the clock of this machine), 18:00, tomorrow 8:00 or +2h30m"
        ) from None
    return _utc(given)  # without a zone it is this machine's


def _next(clock: re.Match[str], now: datetime) -> datetime:
    """The next time that a clock shows this; by `today` and `tomorrow` on that day."""
    day, hour, minute, second = clock[1], int(clock[2]), int(clock[3]), int(clock[4] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise argparse.ArgumentTypeError(f"{clock[0]!r} is no time of the day")
    at = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
    passed = at <= now if day is None else day == "tomorrow"
    return at + timedelta(days=1) if passed else at


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
