"""Refusals beyond the pace of their sender wait; the others, and other senders, do not."""

from itertools import pairwise

from functions.runtime.pace import ADDRESSES, BURST_SECONDS, LONGEST_SECONDS, RefusalPace


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_answered_at_once_and_then_the_pace_holds() -> None:
    clock = Clock()
    pace = RefusalPace(100, clock)
    burst = int(100 * BURST_SECONDS)
    assert [pace.delay("a") for _ in range(burst)] == [0.0] * burst
    waits = [pace.delay("a") for _ in range(3)]
    assert all(one < other for one, other in pairwise(waits)) and waits[0] > 0
    assert pace.delay("b") == 0.0


def test_nobody_waits_longer_than_a_while_and_all_is_forgiven() -> None:
    clock = Clock()
    pace = RefusalPace(10, clock)
    assert max(pace.delay("a") for _ in range(1_000)) <= LONGEST_SECONDS
    clock.now += LONGEST_SECONDS + BURST_SECONDS
    assert pace.delay("a") == 0.0


def test_it_remembers_a_bounded_number_of_senders_and_may_be_off() -> None:
    pace = RefusalPace(10)
    for number in range(2 * ADDRESSES):
        pace.delay(str(number))
    assert len(pace._due) == ADDRESSES
    assert [RefusalPace(0).delay("a") for _ in range(10_000)] == [0.0] * 10_000
