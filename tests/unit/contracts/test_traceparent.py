"""W3C Trace Context: which texts are carried on, and how a trace goes down from job to attempt to child."""

import pytest

from contracts import trace

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"
JOB = "01943a9e-1f2c-7a6b-8d3e-5f4c3b2a1d0e"


@pytest.mark.parametrize(
    ("given", "carried"),
    [(GOOD, GOOD), (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"), (f" {GOOD}\t", GOOD), (f"00-{TRACE}-{SPAN}-ff", GOOD),
     (f"cc-{TRACE}-{SPAN}-01", GOOD), (f"cc-{TRACE}-{SPAN}-01-what-comes-later", GOOD)],
)  # fmt: skip
def test_what_is_one_is_carried_in_version_00(given: str, carried: str) -> None:
    assert trace.traceparent_of(given) == carried
    assert trace.trace_id(given) == TRACE


@pytest.mark.parametrize(
    "given",
    [None, "", "00", f"00-{TRACE}-{SPAN}", f"00-{TRACE}-{SPAN}-1", f"00-{TRACE}-{SPAN}-001", f"00-{TRACE}-{SPAN}-01-more", f"00-{TRACE}-{SPAN}-01-",
     f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE[1:]}g-{SPAN}-01",
     f"00_{TRACE}_{SPAN}_01", f"cc-{TRACE}-{SPAN}-01more", f"00-{TRACE}-{SPAN}-0x", "x" * 5_000, f"00-{TRACE}-{SPAN}-01\r\nx: y", f"٠0-{TRACE}-{SPAN}-01"],
)  # fmt: skip
def test_what_is_none_begins_a_new_trace(given: str | None) -> None:
    assert trace.traceparent_of(given) is None
    assert trace.trace_id(given) is None
    assert trace.below_attempt(given, JOB, 1) == trace.below_attempt(trace.begun_by(JOB), JOB, 1)


def test_a_job_that_nobody_traced_is_found_by_its_trace() -> None:
    begun = trace.begun_by(JOB)
    assert trace.traceparent_of(begun) == begun
    assert trace.trace_id(begun) == JOB.replace("-", "")


def test_each_level_is_a_span_of_its_own_within_one_trace() -> None:
    made = [GOOD, trace.below_job(GOOD, JOB), *(trace.below_attempt(GOOD, JOB, token) for token in (1, 2, 3, 1_000))]
    assert {trace.trace_id(each) for each in made} == {TRACE}
    assert len({each[36:52] for each in made}) == len(made)
    assert all(trace.traceparent_of(each) == each for each in made)
