"""The fold of events into statistics: exact, and the same in any order."""

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import strict_json
from contracts.event import Event
from contracts.event_types import full_name
from contracts.job import JobRequest
from contracts.statistics import (
    ALL_TIME,
    Delta,
    Figures,
    Window,
    bounds,
    bucket_of,
    fold,
    merge,
    percentile_micros,
    rates,
)
from functions.stores.moves import Ending, Moves
from tests.support.lives import START, random_life

MINUTE = START // 60_000_000


def event(short: str, data: dict[str, Any], **attributes: str) -> Event:
    return Event({"type": full_name(short), "time": "2026-11-18T14:13:20.000000Z", "data": data, **attributes})


@given(st.integers(0, 1 << 60))
def test_a_bucket_holds_its_value_and_is_at_most_a_thirty_second_wide(micros: int) -> None:
    least, greatest = bounds(bucket_of(micros))
    assert least <= micros <= greatest
    assert (greatest - least) * 32 <= micros


def test_buckets_follow_each_other_without_gap_or_overlap() -> None:
    for bucket in range(2_000):
        assert bounds(bucket + 1)[0] == bounds(bucket)[1] + 1
        assert bucket_of(bounds(bucket)[0]) == bucket_of(bounds(bucket)[1]) == bucket


@given(st.integers(0, 1_000), st.randoms(use_true_random=False), st.integers(1, 20))
def test_folding_in_any_order_and_in_any_batches_gives_the_same_bytes(seed: int, chance: random.Random, size: int) -> None:
    events = random_life(seed)
    whole = fold(events)
    chance.shuffle(events)
    parts = [fold(events[start : start + size]) for start in range(0, len(events), size)]
    chance.shuffle(parts)
    assert strict_json.dumps(merge(*parts).as_json()) == strict_json.dumps(whole.as_json())
    assert merge(*parts) == whole == Delta.from_json(whole.as_json())


def test_each_event_counts_as_what_it_is() -> None:
    events: list[Event] = []
    moves = Moves("urn:observatory:test", START, lambda document: events.append(Event(document)), lambda: 0.5)
    job = moves.accept("job-1", JobRequest("a.b", {}, queue="q", max_attempts=2), 0, None)
    moves.now += 1_500_000
    moves.claim(job, worker="w", instance="i", lease_micros=15, cold_start_seconds=0.5)
    moves.end_attempt(job, Ending("job-1", 1, "timed_out", ran_micros=2_000_000))
    moves.release_due(job)
    moves.claim(job, worker="w", instance="i", lease_micros=15, cold_start_seconds=None)
    moves.end_attempt(job, Ending("job-1", 2, "succeeded", ran_micros=1_000_000))
    delta = fold(events)
    assert delta.states == {("q", "a.b", "succeeded"): 1}
    assert {measure: value for (minute, _, _, measure), value in delta.sums.items() if minute == ALL_TIME} == {
        "accepted": 1, "started": 2, "retrying": 1, "succeeded": 1, "timed_out": 1, "cold_starts": 1, "cold_start_micros": 500_000,
        "waited": 2, "waited_micros": 1_500_000, "ran": 2, "ran_micros": 3_000_000,
    }  # fmt: skip
    assert delta.buckets[START // 60_000_000, "q", "a.b", "ran", bucket_of(2_000_000)] == 1
    assert {value for (minute, *_), value in delta.sums.items() if minute == MINUTE} == {
        value for (minute, *_), value in delta.sums.items() if minute == ALL_TIME
    }


def test_refusals_count_in_the_minute_in_which_they_happened() -> None:
    data = {"subject_type": "a.b", "reason": "contract-violation", "count": 7, "minute": "2026-11-18T14:11:00.000000Z"}
    delta = fold([event("contract.refused", data, subject="contract/a.b")])
    minute = fold([event("job.accepted", {"from": None, "to": "queued"})])
    (told,) = {key[0] for key in minute.sums if key[0] != ALL_TIME}
    assert delta.sums == {(told - 2, "", "a.b", "refused"): 7, (ALL_TIME, "", "a.b", "refused"): 7}


def test_an_event_type_of_a_later_version_counts_by_its_states_alone() -> None:
    later = event("job.teleported", {"from": "queued", "to": "running"}, queue="q", jobtype="a.b")
    assert fold([later, event("moon.rose", {"at": 1}), Event({"type": "x", "time": "y"})]) == Delta(
        {("q", "a.b", "running"): 1, ("q", "a.b", "queued"): -1}
    )


@given(st.lists(st.integers(0, 1 << 40), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_percentiles_are_within_two_percent_of_the_exact_ones(values: list[int], part: float) -> None:
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    exact = sorted(values)[max(math.ceil(part * len(values)), 1) - 1]
    found = percentile_micros(counts, part)
    assert found is not None
    assert abs(found - exact) <= exact / 60


def test_a_percentile_of_nothing_is_none() -> None:
    assert percentile_micros({}, 0.5) is None


def test_a_window_is_full_minutes_and_the_one_that_runs() -> None:
    as_of = MINUTE * 60_000_000 + 15_000_000
    window = Window(5, as_of)
    assert (window.first, window.last, window.covered_seconds) == (MINUTE - 5, MINUTE, 315.0)


def test_rates_are_ended_jobs_a_second_and_failures_among_those_that_ran_to_an_end() -> None:
    figures = Figures(
        {("q", "a.b", "succeeded"): 6, ("q", "c.d", "failed"): 2, ("q", "c.d", "cancelled"): 2, ("q", "a.b", "ran"): 8,
         ("q", "a.b", "ran_micros"): 16_000_000},
        {("q", "a.b", "ran", bucket_of(2_000_000)): 8},
    )  # fmt: skip
    shown = rates(figures, 100.0)
    assert (shown["throughput"], shown["failure_rate"]) == (0.1, 0.25)
    assert shown["running_seconds"]["mean"] == 2.0
    assert shown["running_seconds"]["p99"] == pytest.approx(2.0, rel=0.02)
    assert shown["waiting_seconds"] == {"count": 0, "mean": None, "p50": None, "p95": None, "p99": None}
    assert rates(figures.by_type()["a.b"], 100.0)["failure_rate"] == 0.0
    assert rates(Figures(), 60.0)["failure_rate"] is None


@pytest.mark.parametrize("change", [lambda d: d.states, lambda d: d.sums, lambda d: d.buckets])
def test_deltas_that_cancel_each_other_leave_nothing(change: Callable[[Delta], dict[Any, int]]) -> None:
    delta = fold(random_life(1))
    undo = Delta(*({key: -value for key, value in part.items()} for part in (delta.states, delta.sums, delta.buckets)))
    assert not change(merge(delta, undo))
