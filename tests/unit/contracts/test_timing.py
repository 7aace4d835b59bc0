"""When schedules come due: summer time by a table, and by hypothesis what holds of every timing."""

from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import ConfigurationError
from contracts.times import from_rfc3339, to_rfc3339
from contracts.timing import COUNTED, Timing, cron_fault, timezone_fault, timing_faults

SECOND = 1_000_000
BERLIN, LORD_HOWE, TROLL, CAIRO = "Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll", "Africa/Cairo"


def dues(cron: str, timezone: str, after: str, count: int) -> list[str]:
    """The next due times as `2026-03-29T01:00`, UTC."""
    found = islice(Timing(cron, None, timezone).dues(from_rfc3339(after)), count)
    return [to_rfc3339(due)[:16] for due in found]


SUMMER_TIME = [
    # a fixed time in a gap comes once, at the first instant after it
    ("30 2 * * *", BERLIN, "2026-03-28T00:00:00Z", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
    ("0 30 2 * * *", BERLIN, "2026-03-28T00:00:00Z", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
    ("0 2,3 * * *", BERLIN, "2026-03-28T12:00:00Z", ["2026-03-29T01:00", "2026-03-30T00:00", "2026-03-30T01:00"]),
    ("15 2 * * *", LORD_HOWE, "2026-10-03T00:00:00Z", ["2026-10-03T15:30", "2026-10-04T15:15"]),  # a gap of half an hour
    ("30 1 * * *", TROLL, "2026-03-28T02:00:00Z", ["2026-03-29T01:00", "2026-03-29T23:30"]),  # of two hours
    ("0 0 * * *", CAIRO, "2026-04-22T23:00:00Z", ["2026-04-23T22:00", "2026-04-24T21:00"]),  # at midnight
    # and where the clock repeats it, at the first of the two
    ("30 2 * * *", BERLIN, "2026-10-24T00:00:00Z", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
    ("0 30 2 * * *", BERLIN, "2026-10-24T00:00:00Z", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
    ("30 2 * * *", BERLIN, "2026-10-25T00:40:00Z", ["2026-10-26T01:30"]),  # asked between the two
    ("30 2 * * *", BERLIN, "2026-10-25T01:10:00Z", ["2026-10-26T01:30"]),  # asked before the second
    ("45 1 * * *", LORD_HOWE, "2026-04-03T20:00:00Z", ["2026-04-04T14:45", "2026-04-05T15:15"]),
    ("0 2-4 * * *", BERLIN, "2026-10-24T12:00:00Z", ["2026-10-25T00:00", "2026-10-25T02:00", "2026-10-25T03:00"]),
    # what runs all the time goes on running
    ("*/30 * * * *", BERLIN, "2026-03-29T00:20:00Z", ["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"]),
    ("*/30 * * * *", BERLIN, "2026-10-25T00:20:00Z", ["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T02:00"]),
    ("0 * * * *", BERLIN, "2026-10-24T23:20:00Z", ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"]),
    ("* * * * *", BERLIN, "2026-03-29T00:58:00Z", ["2026-03-29T00:59", "2026-03-29T01:00", "2026-03-29T01:01"]),
    # a change that crosses midnight, a day that was left out
    ("0 12 * * 0", "America/St_Johns", "2002-10-21T15:00:00Z", ["2002-10-27T15:30"]),
    ("* * * * 0", "America/St_Johns", "2002-10-27T02:28:00Z", ["2002-10-27T02:30", "2002-10-27T03:30", "2002-10-27T03:31"]),
    ("*/30 * * * *", "America/St_Johns", "2002-10-27T02:20:00Z", ["2002-10-27T02:30", "2002-10-27T03:00", "2002-10-27T03:30"]),
    ("30 2 * * *", "Pacific/Apia", "2011-12-29T13:00:00Z", ["2011-12-30T10:00", "2011-12-30T12:30"]),
    ("0 * * * *", "Asia/Beirut", "2026-10-24T19:30:00Z", ["2026-10-24T20:00", "2026-10-24T21:00", "2026-10-24T22:00"]),
    # a day of 23 hours is no day lost
    ("0 12 * * 0", BERLIN, "2026-03-24T12:00:00Z", ["2026-03-29T10:00", "2026-04-05T10:00"]),
    # no summer time at all
    ("30 2 * * *", "UTC", "2026-03-28T12:00:00Z", ["2026-03-29T02:30", "2026-03-30T02:30"]),
    ("0 0 29 2 *", "Asia/Kolkata", "2026-01-01T00:00:00Z", ["2028-02-28T18:30", "2032-02-28T18:30"]),
]


@pytest.mark.parametrize(("cron", "timezone", "after", "expected"), SUMMER_TIME)
def test_a_timing_comes_due_as_its_wall_clock_says(cron: str, timezone: str, after: str, expected: list[str]) -> None:
    assert dues(cron, timezone, after, len(expected)) == expected


def test_what_comes_every_minute_comes_every_minute_of_every_day() -> None:
    """Over a whole year, both changes included, no minute is missing and none comes twice."""
    timing, start = Timing("* * * * *", None, BERLIN), from_rfc3339("2026-01-01T00:00:00Z")
    for month in ("2026-03-28", "2026-10-24"):
        start = from_rfc3339(f"{month}T00:00:00Z")
        found = list(islice(timing.dues(start), 3 * 24 * 60))
        assert found == [start + (n + 1) * 60 * SECOND for n in range(len(found))]


def test_seconds_come_within_their_minutes() -> None:
    assert [to_rfc3339(due)[11:19] for due in islice(Timing("*/20 59 23 * * *", None).dues(0), 4)] == ["23:59:00", "23:59:20", "23:59:40", "23:59:00"]


def test_an_interval_counts_from_its_anchor_however_late_one_asks() -> None:
    timing = Timing(None, 600, anchor_at=7 * SECOND)
    assert timing.next_after(7 * SECOND) == 607 * SECOND
    assert timing.next_after(607 * SECOND - 1) == 607 * SECOND
    assert timing.next_after(607 * SECOND) == 1_207 * SECOND
    assert timing.next_after(100_000 * SECOND) == (7 + 167 * 600) * SECOND


# ---- what holds of every timing ---------------------------------------------------------------------------------

INSTANTS = st.integers(from_rfc3339("2000-01-01T00:00:00Z"), from_rfc3339("2099-01-01T00:00:00Z"))
ZONES = st.sampled_from(["UTC", BERLIN, LORD_HOWE, TROLL, CAIRO, "America/New_York", "Asia/Kolkata", "Pacific/Apia", "America/St_Johns"])


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    a_range = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    return st.one_of(st.just("*"), number.map(str), st.integers(1, high).map("*/{}".format), a_range, st.lists(number, min_size=2, max_size=3).map(
        lambda several: ",".join(map(str, several))))  # fmt: skip


CRONS = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7)).map(" ".join)
TIMINGS = st.one_of(
    st.builds(Timing, CRONS, st.none(), ZONES),
    st.builds(Timing, st.tuples(field(0, 59), CRONS).map(" ".join), st.none(), ZONES),
    st.builds(Timing, st.none(), st.one_of(st.integers(1, 100_000), st.floats(1, 1_000)), anchor_at=INSTANTS),
)


@settings(deadline=None, max_examples=300)
@given(TIMINGS, INSTANTS)
def test_due_times_are_past_what_was_asked_and_strictly_increase(timing: Timing, instant: int) -> None:
    found = list(islice(timing.dues(instant), 20))
    assert found
    assert all(earlier < later for earlier, later in zip([instant, *found], found, strict=False))


@settings(deadline=None, max_examples=300)
@given(TIMINGS, INSTANTS, st.data())
def test_the_next_due_time_is_the_same_from_wherever_before_it_one_asks(timing: Timing, instant: int, data: st.DataObject) -> None:
    found = list(islice(timing.dues(instant), 6))
    for before, due in zip([instant, *found], found, strict=False):
        asked = data.draw(st.integers(before, due - 1))
        assert timing.next_after(asked) == due


@settings(deadline=None)
@given(CRONS, ZONES, INSTANTS)
def test_a_due_time_matches_its_expression_unless_its_hour_was_changed(cron: str, timezone: str, instant: int) -> None:
    minutes = cron.split(maxsplit=1)[0]
    for due in islice(Timing(cron, None, timezone).dues(instant), 5):
        assert due % (60 * SECOND) == 0
        moment = local(due, timezone)
        if minutes.isdigit() and not changes_near(due, timezone):
            assert moment.minute == int(minutes)


def local(micros: int, timezone: str):  # type: ignore[no-untyped-def]
    from datetime import datetime

    return datetime.fromtimestamp(micros / SECOND, ZoneInfo(timezone))


def changes_near(micros: int, timezone: str) -> bool:
    hours = 3 * 3_600 * SECOND
    return local(micros - hours, timezone).utcoffset() != local(micros + hours, timezone).utcoffset()


# ---- what has passed --------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(TIMINGS, INSTANTS, st.integers(0, 300), st.integers(1, 50))
def test_what_has_passed_is_counted_and_its_newest_are_named(timing: Timing, instant: int, many: int, most: int) -> None:
    every = list(islice(timing.dues(instant), many + 1))
    passed = timing.passed(every[0], every[-1], most)
    assert list(passed.dues) == every[-most:]
    assert (passed.earlier, passed.more, passed.first) == (max(len(every) - most, 0), False, every[0])


@pytest.mark.parametrize(
    "timing",
    [Timing("* * * * *", None, BERLIN), Timing(None, 1, anchor_at=3), Timing("* * * * * *", None), Timing("*/7 2-4 * * *", None, BERLIN)],
)
def test_of_very_many_only_so_many_are_counted(timing: Timing) -> None:
    first = timing.next_after(from_rfc3339("2000-01-01T00:00:00Z"))
    until = from_rfc3339("2026-10-26T00:00:00Z")
    assert first is not None
    passed = timing.passed(first, until, 10)
    assert (passed.earlier, passed.more, passed.first, len(passed.dues)) == (COUNTED, True, first, 10)
    assert list(passed.dues) == list(islice(timing.dues(passed.dues[0] - 1), 10))
    after = timing.next_after(passed.dues[-1])
    assert passed.dues[-1] <= until and after is not None and until < after


# ---- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cron", ["", "* * * *", "* * * * * * *", "61 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a b c d e",
                                  "*/0 * * * *", "5-1 * * * *", "@daily", "0 0 31 2 *", "0 0 30 2 *", "60 * * * * *", "1L/2 * * * *", "٣ * * * *"])  # fmt: skip
def test_an_expression_that_cannot_be_is_refused_in_words(cron: str) -> None:
    fault = cron_fault(cron)
    assert fault is not None and len(fault) > 20


@settings(deadline=None)
@given(st.one_of(st.text(max_size=60), st.text("0123456789*/,-#L MONJAN", max_size=60)))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    if cron_fault(text) is None:
        assert Timing(text, None).next_after(0) is not None
        assert Timing(text, None).words()


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "localtime", "Europe", "europe/berlin"])
def test_a_time_zone_that_nobody_has_is_refused(name: str) -> None:
    assert timezone_fault(name)
    with pytest.raises(ConfigurationError):
        Timing("* * * * *", None, name).next_after(0)


def test_a_time_zone_with_a_typing_error_names_the_near_one() -> None:
    assert "Europe/Berlin" in (timezone_fault("Europe/Belin") or "")


def test_each_fault_stands_at_its_field() -> None:
    assert [fault.pointer for fault in timing_faults("x", "y")] == ["/cron", "/timezone"]
    assert timing_faults("30 2 * * MON-FRI", BERLIN) == []
    assert timing_faults(None, "UTC") == []


@pytest.mark.parametrize(
    ("timing", "words"),
    [
        (Timing("30 2 * * *", None, BERLIN), "At 02:30 every day (Europe/Berlin)"),
        (Timing("*/5 * * * *", None), "Every fifth minute of every hour (UTC)"),
        (Timing("0 30 2 * * *", None), "At 02:30 every day (UTC)"),
        (Timing(None, 600), "Every 10 minutes"),
        (Timing(None, 3_600), "Every hour"),
        (Timing(None, 90), "Every 90 seconds"),
        (Timing(None, 172_800), "Every 2 days"),
    ],
)
def test_a_timing_is_said_in_words(timing: Timing, words: str) -> None:
    assert timing.words() == words
