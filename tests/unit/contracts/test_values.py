"""Strict JSON, instants, identifiers, the table of moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import strict_json
from contracts.errors import MalformedJson
from contracts.ids import UuidSequence, is_uuid
from contracts.job import LIVE, MOVES, TERMINAL, Backoff, JobStatus, is_allowed
from contracts.times import from_rfc3339, to_rfc3339


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a": 1', b"[NaN]", b"[Infinity]", b"[1e999]", b'{"a": 1, "a": 2}', b'"\xff"', b'"\\ud800"', b"\xef\xbb\xbf{}", b"1 2",
     b"[" * 300 + b"]" * 300, b"[123456789012345678901234567890]", b"{'a': 1}", b"[1,]", b"nul"],
)  # fmt: skip
def test_what_two_readers_could_read_differently_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedJson) as caught:
        strict_json.loads(text)
    assert caught.value.faults


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_canonical_json_reads_back_as_it_was(value: object) -> None:
    text = strict_json.dumps(value)
    assert strict_json.loads(text) == value
    assert strict_json.dumps(strict_json.loads(text)) == text


@given(st.integers(0, 4_102_444_800_000_000))
def test_instants_survive_their_text(micros: int) -> None:
    assert from_rfc3339(to_rfc3339(micros)) == micros


@pytest.mark.parametrize("text", ["2026-11-24T08:00:00", "yesterday", "", "2026-11-24"])
def test_an_instant_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_rfc3339(text)


def test_offsets_are_understood() -> None:
    assert from_rfc3339("2026-11-24T10:00:00+02:00") == from_rfc3339("2026-11-24T08:00:00Z")


@given(st.lists(st.integers(1_000_000_000_000_000, 1_900_000_000_000_000), min_size=2, max_size=50))
def test_identifiers_grow_even_when_the_clock_steps_back(instants: list[int]) -> None:
    ids = UuidSequence()
    made = [ids.next(instant) for instant in instants]
    assert made == sorted(made) and len(set(made)) == len(made)
    assert all(is_uuid(one) and one[14] == "7" and one[19] in "89ab" for one in made)


def test_identifiers_carry_their_time() -> None:
    micros = 1_795_000_000_123_456
    assert int(UuidSequence().next(micros).replace("-", "")[:12], 16) == micros // 1000


def test_no_move_leaves_success_and_every_live_state_can_be_cancelled() -> None:
    assert not [move for move in MOVES if move.origin is JobStatus.SUCCEEDED]
    assert {move.origin for move in MOVES if move.target is JobStatus.CANCELLED} == set(LIVE)
    assert {move.event_type for move in MOVES if move.origin in TERMINAL} == {"dev.observatory.job.reopened.v1"}


def test_plain_strings_are_looked_up_too() -> None:
    assert is_allowed("queued", "running", "dev.observatory.job.started.v1")
    assert not is_allowed("queued", "succeeded", "dev.observatory.job.succeeded.v1")


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_and_is_bounded(attempt: int, random: float) -> None:
    backoff = Backoff()
    assert 0 <= backoff.delay_seconds(attempt, random) <= min(2.0 * 2.0 ** min(attempt - 1, 64), 300.0)
    assert Backoff(jitter=False).delay_seconds(3, random) == 8.0
