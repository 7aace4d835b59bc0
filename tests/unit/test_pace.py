"""Which types are held back, and how much of them may begin: those that always fail at once, those that kill their workers."""

from functions.processor.pace import FAILURE_SHARE, FAILURES, FORGOTTEN_SECONDS, MOST_HELD, HeldBack, Pace

NOW = 1_000.0


def failing(pace: Pace, times: int, now: float = NOW) -> None:
    for _ in range(times):
        pace.begins("bad")
        pace.ended("bad", 0.001, now, failed=True)


def others(pace: Pace, times: int, now: float = NOW) -> None:
    for _ in range(times):
        pace.ended("good", 0.001, now)


def test_a_type_that_fails_now_and_then_is_held_back_no_more_than_any() -> None:
    pace = Pace(4)
    for _ in range(5):
        failing(pace, FAILURES - 1)
        pace.ended("bad", 0.001, NOW)
    failing(pace, FAILURES - 1)
    assert pace.held_back((), NOW) == HeldBack(in_turn=0, freely=MOST_HELD)


def test_a_type_that_always_fails_at_once_waits_for_others_but_has_its_share() -> None:
    pace = Pace(4)
    failing(pace, FAILURES)
    assert pace.held_back((), NOW) == HeldBack(frozenset({"bad"}), frozenset(), 0, MOST_HELD)
    others(pace, FAILURE_SHARE + 1)
    assert pace.held_back((), NOW).in_turn == 1
    pace.begins("bad")
    assert pace.held_back((), NOW).in_turn == 0


def test_its_share_holds_over_any_time() -> None:
    """However long others run, and whatever it ran alone before: no more than one of it for so many of them."""
    pace = Pace(4)
    failing(pace, FAILURES)
    begun = 0
    for _ in range(100 * FAILURE_SHARE):
        others(pace, 1)
        for _ in range(pace.held_back((), NOW).in_turn):
            failing(pace, 1)
            begun += 1
    assert 80 <= begun <= 100


def test_slow_failures_say_nothing() -> None:
    pace = Pace(4)
    for _ in range(10 * FAILURES):
        pace.ended("bad", 2.0, NOW, failed=True)
    assert not pace.held_back((), NOW).types


def test_one_success_acquits_a_type_that_failed() -> None:
    pace = Pace(4)
    failing(pace, 3 * FAILURES)
    pace.ended("bad", 0.001, NOW)
    assert not pace.held_back((), NOW).types


def test_a_killer_comes_one_at_a_time_and_pauses() -> None:
    pace = Pace(4)
    others(pace, 1)
    pace.killed_its_worker("killer", 0.05, NOW)
    assert pace.held_back((), NOW) == HeldBack(frozenset({"killer"}), frozenset(), 1, 1)
    assert pace.held_back(["killer"], NOW).at_all == {"killer"}
    pace.killed_its_worker("killer", 0.05, NOW)
    assert pace.held_back((), NOW) == HeldBack(frozenset({"killer"}), frozenset({"killer"}), 0, MOST_HELD)
    others(pace, 1, NOW + 1.01)
    assert pace.held_back((), NOW + 1.01).in_turn == 1


def test_whoever_is_not_seen_any_more_is_forgotten() -> None:
    pace = Pace(4)
    failing(pace, FAILURES)
    pace.killed_its_worker("killer", 0.05, NOW)
    assert pace.held_back((), NOW + FORGOTTEN_SECONDS - 1).types == {"bad", "killer"}
    assert not pace.held_back((), NOW + FORGOTTEN_SECONDS + 1).types
    assert not pace.has_offenders
