"""The commands' arithmetic: what events change in the counts."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import IllegalMove, ObservatoryError
from functions.stores.commands import each, state_deltas

STATES = st.sampled_from(["waiting", "queued", "running", "succeeded"])


def document(origin: str | None, target: str | None, queue: str = "default") -> dict[str, Any]:
    data = {} if target is None else {"from": origin, "to": target}
    return {"queue": queue, "jobtype": "demo.noop", "data": data}


def test_a_new_job_counts_in_its_state() -> None:
    assert state_deltas([document(None, "queued")]) == {("default", "demo.noop", "queued"): 1}


def test_a_move_counts_in_both_states() -> None:
    assert dict(state_deltas([document("queued", "running")])) == {("default", "demo.noop", "queued"): -1, ("default", "demo.noop", "running"): 1}


def test_announcements_and_events_of_no_job_count_nothing() -> None:
    assert dict(state_deltas([document("queued", "queued"), document("running", "running"), document(None, None)])) == {}


@given(st.lists(STATES, min_size=1, max_size=20))
def test_a_whole_path_counts_once_in_its_last_state(path: list[str]) -> None:
    deltas = state_deltas([document(origin, target) for origin, target in zip([None, *path], path, strict=False)])
    assert {key[2]: change for key, change in deltas.items() if change} == {path[-1]: 1}


def test_one_fault_does_not_touch_the_others() -> None:
    def work(number: int) -> int:
        if number == 2:
            raise IllegalMove
        return number * 10

    first, second, third = each([1, 2, 3], work)
    assert (first, third) == (10, 30)
    assert isinstance(second, ObservatoryError)
