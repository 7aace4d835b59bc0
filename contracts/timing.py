"""When a schedule comes due: a cron expression in a time zone, or a fixed interval. Nothing here reads a clock.

Cron is read by cronsim, over local time without a zone; what that means in the zone is decided here, by Debian cron's
rules: what runs at a fixed time of day runs once a day, at the first instant after a gap, and at the first of two equal
local times; what runs all the time (minute or hour begin with `*`) goes on running. Instants are microseconds since the
epoch.
"""

import zoneinfo
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache

from cronsim import CronSim, CronSimError

from contracts.errors import ConfigurationError, Fault
from contracts.times import MICROSECONDS, to_micros

COUNTED = 1_000  # how many passed due times are counted one by one; more are told as "more"
_MINUTE = 60 * MICROSECONDS
_LONGEST_CHANGE = 86_400 * MICROSECONDS  # Samoa left out a day
_PROBE = 7 * 86_400 * MICROSECONDS  # no zone changes twice within
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_FORM = "five fields: minute hour day-of-month month day-of-week, such as 30 2 * * MON-FRI (six: seconds first)"


@dataclass(frozen=True, slots=True)
class Passed:
    """Due times that have passed: the newest of them, oldest first, and how many there were before those.

    `more` says that there were still more than `earlier`, which were not counted; `first` is the first of all.
    """

    dues: tuple[int, ...]
    earlier: int
    more: bool
    first: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Either `cron` in `timezone`, or `every_seconds`, counted from `anchor_at`."""

    cron: str | None
    every_seconds: float | None
    timezone: str = "UTC"
    anchor_at: int = 0

    def next_after(self, instant: int) -> int | None:
        """The first due time past an instant; None when there is none within 50 years.

        Raises ConfigurationError when this machine does not know the time zone, or the expression.
        """
        return next(self.dues(instant), None)

    def dues(self, after: int) -> Iterator[int]:
        """Every due time past an instant, in order."""
        if self.every_seconds is None:
            return _cron_dues(self.cron or "", zone(self.timezone), after)
        return _interval_dues(to_micros(self.every_seconds), self.anchor_at, after)

    def passed(self, first: int, until: int, most: int) -> Passed:
        """The due times from `first`, which is one, up to `until`; the newest `most` of them one by one."""
        counted: list[int] = [first]
        for due in self.dues(first):
            if due > until:
                newest = counted[-most:]
                return Passed(tuple(newest), len(counted) - len(newest), False, first)
            counted.append(due)
            if len(counted) > COUNTED + most:
                return Passed(tuple(self._newest(first, until, most)), COUNTED, True, first)
        return Passed(tuple(counted[-most:]), max(len(counted) - most, 0), False, first)

    def _newest(self, first: int, until: int, most: int) -> Sequence[int]:
        """The newest due times when there are too many to count them all."""
        newest: deque[int] = deque(maxlen=most)
        for due in self.dues(max(first, self._before(until, most))):
            if due > until:
                break
            newest.append(due)
        return newest

    def _before(self, until: int, most: int) -> int:
        """An instant that has about so many due times between it and `until`."""
        if self.every_seconds is not None:
            return until - (most + 1) * to_micros(self.every_seconds)
        minutes, seconds = _parsed(self.cron or "")
        back = CronSim(minutes, _local(until, zone(self.timezone)), reverse=True)
        for _ in range(-(-most // len(seconds)) + 1):
            found = next(back)
        return until - _span_of(_local(until, zone(self.timezone)) - found) - _LONGEST_CHANGE

    def words(self) -> str:
        """The timing for people: `At 02:30 every day (Europe/Berlin)`, `Every 10 minutes`."""
        if self.every_seconds is not None:
            return f"Every {_span(self.every_seconds)}"
        minutes, seconds = _parsed(self.cron or "")
        text = CronSim(minutes if seconds == (0,) else self.cron or "", datetime(2026, 1, 1)).explain()
        return f"{text} ({self.timezone})"


# ---- checking ---------------------------------------------------------------------------------------------------


def cron_fault(cron: str) -> str | None:
    """What is wrong with a cron expression, in words; None when it is usable."""
    try:
        minutes, _ = _parsed(cron)
    except ConfigurationError as error:
        return error.message
    try:
        next(CronSim(minutes, datetime(2026, 1, 1)))
    except (StopIteration, RuntimeError):
        return "never comes due: no date within 50 years has that day"
    return None


def timezone_fault(name: str) -> str | None:
    """What is wrong with the name of a time zone, in words; None when there is one of that name."""
    if name in _zones():
        return None
    from difflib import get_close_matches

    near = get_close_matches(name, _zones(), n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ", such as Europe/Berlin or UTC"
    return f"must be the name of an IANA time zone{hint}"


def timing_faults(cron: str | None, timezone: str) -> list[Fault]:
    """Every fault of a timing, each at its own field; empty when it is usable."""
    found: list[Fault] = []
    if cron is not None and (fault := cron_fault(cron)) is not None:
        found.append(Fault("/cron", fault))
    if (fault := timezone_fault(timezone)) is not None:
        found.append(Fault("/timezone", fault))
    return found


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})  # what a machine happens to mean by them


@lru_cache(maxsize=256)
def zone(name: str) -> zoneinfo.ZoneInfo:
    """The time zone of that name. Raises ConfigurationError when this machine has none."""
    if name not in _zones():
        raise ConfigurationError(f"this machine knows no time zone {name!r}; the package tzdata brings them all")
    return zoneinfo.ZoneInfo(name)


@lru_cache(maxsize=1_024)
def _parsed(cron: str) -> tuple[str, tuple[int, ...]]:
    """The expression's five fields from the minute on, and its seconds. Raises ConfigurationError."""
    fields = cron.split()
    if len(fields) not in (5, 6):
        raise ConfigurationError(f"must have {_FORM}")
    minutes = " ".join(fields[-5:])
    try:
        CronSim(minutes, datetime(2026, 1, 1))
        seconds = sorted(CronSim(cron, datetime(2026, 1, 1)).seconds)
    except (CronSimError, ValueError, AssertionError) as error:
        words = str(error).removeprefix("Bad ") or "it"
        raise ConfigurationError(f"has an unusable {words} field; it takes {_FORM}") from None
    return minutes, tuple(seconds)


# ---- counting ---------------------------------------------------------------------------------------------------


def _interval_dues(every: int, anchor: int, after: int) -> Iterator[int]:
    due = anchor + ((after - anchor) // every + 1) * every
    while True:
        yield due
        due += every


def _cron_dues(cron: str, where: zoneinfo.ZoneInfo, after: int) -> Iterator[int]:
    minutes, seconds = _parsed(cron)
    begin = after - _MINUTE
    for minute in _running(minutes, where, begin) if _runs_all_the_time(minutes) else _fixed(minutes, where, begin):
        for second in seconds:
            due = minute + second * MICROSECONDS
            if due > after:
                yield due


def _runs_all_the_time(minutes: str) -> bool:
    minute, hour, *_ = minutes.split()
    return minute.startswith("*") or hour.startswith("*")


def _fixed(minutes: str, where: zoneinfo.ZoneInfo, after: int) -> Iterator[int]:
    """Each local time that matches, once: at its first instant, or where a gap swallowed it at the first one after."""
    for moment in CronSim(minutes, _local(after, where)):
        while _is_in_gap(moment, where):
            moment += timedelta(minutes=1)  # noqa: PLW2901 - cronsim goes on from its own
        due = _micros(moment.replace(tzinfo=where))
        if due > after:
            yield due
            after = due


def _running(minutes: str, where: zoneinfo.ZoneInfo, after: int) -> Iterator[int]:
    """Each instant whose local time matches: as long as the zone keeps its offset, local time runs like any other."""
    begin: int | None = after
    start = _local(after, where)
    while begin is not None:
        offset, known, begin = _offset(begin, where), begin, None
        for moment in CronSim(minutes, start):
            due = _span_of(moment - _NAIVE_EPOCH) - offset
            begin = _next_change(where, offset, known, due)
            if begin is not None:
                start = _local(begin, where) - timedelta(seconds=1)
                break
            yield due
            known = due


def _next_change(where: zoneinfo.ZoneInfo, offset: int, after: int, until: int) -> int | None:
    """The first instant past `after`, which has this offset, up to `until`, that has another one; None: there is none."""
    low = after
    while low < until:
        high = min(low + _PROBE, until)
        if _offset(high, where) != offset:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(middle, where) == offset else (low, middle)
            return high
        low = high
    return None


def _is_in_gap(moment: datetime, where: zoneinfo.ZoneInfo) -> bool:
    there = moment.replace(tzinfo=where)
    return there.astimezone(UTC).astimezone(where).replace(tzinfo=None) != moment


def _local(micros: int, where: zoneinfo.ZoneInfo) -> datetime:
    """What clocks show there, without a zone."""
    return (_EPOCH + timedelta(microseconds=micros)).astimezone(where).replace(tzinfo=None, fold=0)


def _offset(micros: int, where: zoneinfo.ZoneInfo) -> int:
    offset = (_EPOCH + timedelta(microseconds=micros)).astimezone(where).utcoffset()
    return 0 if offset is None else _span_of(offset)


def _micros(moment: datetime) -> int:
    return _span_of(moment.astimezone(UTC) - _EPOCH)


def _span_of(delta: timedelta) -> int:
    return (delta.days * 86_400 + delta.seconds) * MICROSECONDS + delta.microseconds


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        count = seconds / size
        if count >= 1 and count == int(count):
            return unit if count == 1 else f"{int(count)} {unit}s"
    return "second" if seconds == 1 else f"{seconds:g} seconds"
