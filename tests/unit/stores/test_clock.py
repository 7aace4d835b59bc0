"""Clocks: a store's time never steps back."""

import time

from hypothesis import given
from hypothesis import strategies as st

from functions.stores.clock import MonotonicClock, wall_clock

INSTANTS = st.integers(0, 2**52)


def test_the_wall_clock_counts_microseconds_since_the_epoch() -> None:
    assert abs(wall_clock() / 1_000_000 - time.time()) < 1


@given(INSTANTS, INSTANTS)
def test_a_store_s_clock_starts_at_the_later_of_the_wall_clock_and_the_last_stored_instant(last: int, wall: int) -> None:
    now = MonotonicClock(last, lambda: wall)()
    assert max(last, wall) <= now < max(last, wall) + 1_000_000


def test_a_store_s_clock_asks_the_wall_clock_once() -> None:
    asked = iter([5_000_000])
    clock = MonotonicClock(0, lambda: next(asked))
    first = clock()
    assert first <= clock() <= clock()


def test_a_store_s_clock_goes_on_with_real_time() -> None:
    clock = MonotonicClock(0)
    start = clock()
    time.sleep(0.02)
    assert 15_000 < clock() - start < 1_000_000
