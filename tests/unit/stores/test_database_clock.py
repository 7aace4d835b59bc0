"""What the database's clock says, over links that are quick, slow, or slow for a moment."""

from functions.stores.backends.postgres_clock import DatabaseClock
from functions.stores.clock import elapsed_ns

MILLISECOND = 1_000_000


def told(clock: DatabaseClock, *, ahead_micros: int, took: int) -> bool:
    """An answer that arrives now from a server whose clock is so far ahead of the machine's."""
    answered = elapsed_ns()
    return clock.learn(answered - took, answered, (answered - took // 2) // 1_000 + ahead_micros)


def ahead(clock: DatabaseClock) -> int:
    """Microseconds; asked again when this process was held up between the two clocks."""
    while True:
        before, now, after = elapsed_ns(), clock(), elapsed_ns()
        if after - before < MILLISECOND // 2:
            return now - before // 1_000


def test_a_link_that_is_always_slow_is_asked_once() -> None:
    clock = DatabaseClock()
    told(clock, ahead_micros=1_000_000, took=25 * MILLISECOND)
    assert told(clock, ahead_micros=1_002_000, took=30 * MILLISECOND) and clock.is_fresh
    assert abs(ahead(clock) - 1_000_000) < 1_000


def test_a_slow_answer_that_contradicts_is_asked_again_and_the_quickest_counts() -> None:
    clock = DatabaseClock()
    told(clock, ahead_micros=0, took=1 * MILLISECOND)
    assert not told(clock, ahead_micros=5_000_000, took=90 * MILLISECOND)
    assert not told(clock, ahead_micros=5_010_000, took=40 * MILLISECOND)
    assert not told(clock, ahead_micros=5_020_000, took=60 * MILLISECOND)
    assert abs(ahead(clock)) < 1_000
    clock.settle()
    assert clock.is_fresh and abs(ahead(clock) - 5_010_000) < 1_000


def test_a_quick_answer_always_counts() -> None:
    clock = DatabaseClock()
    told(clock, ahead_micros=0, took=400 * MILLISECOND)
    assert told(clock, ahead_micros=-150_000, took=1 * MILLISECOND)
    assert abs(ahead(clock) + 150_000) < 1_000
    clock.settle()  # nothing is left to settle
    assert abs(ahead(clock) + 150_000) < 1_000
