"""The query language: what is read, what is printed, what is refused and where, and which jobs fit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import MalformedQuery
from contracts.job import Job
from contracts.query import EVERYTHING, Query, parse, suggestions, typed_at
from contracts.query.fields import FIELDS, STATES, UNITS
from contracts.query.syntax import AllOf, AnyOf, Compare, ErrorSays, Is, Not, PayloadIs, Says
from contracts.query.words import SEARCHED_CHARACTERS, SEARCHED_VALUES
from tests.support.queries import queries

SECOND = 1_000_000
NOW = 1_795_000_000 * SECOND


def job(**parts: Any) -> Job:
    given = {
        "id": "019345b2-7e3a-7cc1-8b50-3f2a9c1d0e4f", "type": "text.statistics", "task_version": 1, "queue": "bulk", "priority": 4,
        "status": "failed", "payload": {}, "max_attempts": 5, "attempts_allowed": 5, "timeout_seconds": 60.0, "created_at": NOW - 60 * SECOND,
        "backoff": {}, "actor": "anna", "root_id": "root-1", "attempt": 2,
    }  # fmt: skip
    return Job(**(given | parts))


def fits(text: str, *, outputs: tuple[str, ...] = (), **parts: Any) -> bool:
    return parse(text).matches(job(**parts), now=NOW, outputs=outputs)


# ---- reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("", AllOf()),
        (" \t\n ", AllOf()),
        ("state:failed", Is("state", "failed")),
        ("STATUS:Failed", Is("state", "failed")),
        ("state:failed,queued", AnyOf((Is("state", "failed"), Is("state", "queued")))),
        ("a b OR c", AllOf((Says("a"), AnyOf((Says("b"), Says("c")))))),
        ("(a b) OR c", AnyOf((AllOf((Says("a"), Says("b"))), Says("c")))),
        ("-(a OR b) --c", AllOf((Not(AnyOf((Says("a"), Says("b")))), Says("c")))),
        ('"no such \\"file\\""', Says('no such "file"')),
        ("or and not", AllOf((Says("or"), Says("and"), Says("not")))),
        ('"OR"', Says("OR")),
        ("age<1h30m", Compare("age", "<", 5_400 * SECOND)),
        ("duration>=2.5S", Compare("duration", ">=", 2_500_000)),
        ("attempt:3", Compare("attempt", "=", 3)),
        ("error:TimeoutError", ErrorSays("TimeoutError")),
        ('error:"timed out"', ErrorSays("timed out")),
        ("payload.a.b-c:1", PayloadIs(("a", "b-c"), "1")),
        ('payload."my key":"x, y"', PayloadIs(("my key",), "x, y")),
        ('payload.a:""', PayloadIs(("a",), "")),
        ("tag:a:b/c=d", Is("tag", "a:b/c=d")),
        ("12:30", Says("12:30")),
        ("/usr/lib/x.py", Says("/usr/lib/x.py")),
        ("x x", Says("x")),
    ],
)
def test_a_query_is_read(text: str, root: Any) -> None:
    assert parse(text) == Query(root)


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("type:x sate:failed", 7, "did you mean state?"),
        ("foo.bar:1", 0, "payload.foo.bar:"),
        ("http://x", 0, "put it in quotes"),
        ("state:fialed", 6, "Did you mean failed?"),
        ("state:queued,odd", 13, ", ".join(STATES)),
        ("state:", 6, ", ".join(STATES)),
        ("state:a,b", 6, "is no state"),
        ("state:failed,", 13, "needs a value"),
        ("state>failed", 5, "takes :"),
        ("age:1h", 3, "takes >= <= > <"),
        ("age=1h", 3, "takes >= <= > <"),
        ("age>", 4, ", ".join(UNITS)),
        ("age>5", 5, "unit is missing"),
        ("age>5y", 5, "'y' is no unit"),
        ("age>1h2", 7, "unit is missing"),
        ("age>soon", 4, "no length of time"),
        ("age>1h,2h", 7, "one value"),
        ("age>999999999999w", 4, "thousand years"),
        ("attempt>x", 8, "whole number"),
        ("attempt>-1", 8, "whole number"),
        ("payload:x", 7, "needs a path"),
        ("payload.a..b:x", 10, "name of the path is missing"),
        ("payload.a:", 10, "needs a value"),
        ('a "b', 2, "not closed"),
        ('error:"b', 6, "not closed"),
        ("(a", 0, "not closed"),
        ("a)", 1, "closes nothing"),
        ("a ()", 2, "nothing between"),
        ("OR a", 0, "between two terms"),
        ("a OR", 2, "between two terms"),
        ("a OR OR b", 5, "between two terms"),
        ("a AND b", 2, "AND is not needed"),
        ("NOT a", 0, "minus sign negates"),
        ("a -", 2, "directly before"),
        ("a - b", 2, "directly before"),
        ('"!?"', 0, "no word"),
        ("error:,", 6, "needs a value"),
        ("a" * 2_001, 2_000, "at most 2,000"),
        ("a " * 65, 128, "at most 64 terms"),
        ("-(" * 20 + "a" + ")" * 20, 16, "deep at most"),
        ('"' + "a " * 33 + '"', 0, "too long"),
    ],
)
def test_a_fault_points_at_its_character_and_says_what_is_allowed(text: str, offset: int, words: str) -> None:
    with pytest.raises(MalformedQuery) as caught:
        parse(text)
    assert words in caught.value.message
    assert (caught.value.offset, caught.value.faults[0].offset) == (offset, offset)
    assert f"character {caught.value.offset + 1}" in caught.value.message


_PIECES = ("state:", "failed", "-", "(", ")", '"', "\\", " ", "OR", "age>", "1h", "payload.", ".x:", ",", "payload", ":", "tag:a", "\x00", "é", "<=")


@given(st.text() | st.lists(st.sampled_from(_PIECES)).map("".join))
def test_no_text_makes_reading_crash(text: str) -> None:
    try:
        query = parse(text)
    except MalformedQuery as fault:
        assert 0 <= fault.offset <= len(text) and fault.length >= 1
    else:
        assert parse(str(query)) == query
    for caret in (0, len(text) // 2, len(text)):
        typed = typed_at(text, caret)
        assert 0 <= typed.start <= typed.end <= len(text)
        suggestions(typed)


@given(queries(leaves=8))
def test_a_printed_query_reads_back_as_the_same(query: Query) -> None:
    assert parse(str(query)) == query


@pytest.mark.parametrize("field", FIELDS.values(), ids=lambda field: field.name)
def test_the_example_of_each_field_is_a_query(field: Any) -> None:
    assert not parse(field.example).is_everything


# ---- which jobs fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "", "id:019345b2-7e3a-7cc1-8b50-3f2a9c1d0e4f", "state:failed", "-state:queued", "type:text.statistics queue:bulk", "tag:a tag:b", "tag:x,a",
        "actor:anna", "root:root-1", "age>59s", "age<=60s", "age<1m1s", "-age>1h", "attempt>1", "attempt=2", "attempt<3", "duration>=3s", "duration<4s",
        "state:queued OR (state:failed tag:a)", "019345B2-7E3A-7cc1-8b50-3f2a9c1d0e4f",
    ],
)  # fmt: skip
def test_a_job_fits(text: str) -> None:
    assert fits(text, tags=["a", "b"], started_at=NOW - 10 * SECOND, finished_at=NOW - 7 * SECOND)


@pytest.mark.parametrize(
    "text",
    ["id:other", "state:queued", "-state:failed", "type:text", "tag:a", "parent:root-1", "schedule:anna", "age>60s", "age<1s", "attempt>2", "duration>0s",
     "duration<1h", "words", "error:x", "payload.a:1"],
)  # fmt: skip
def test_a_job_does_not_fit(text: str) -> None:
    assert not fits(text)


def test_the_duration_of_a_running_job_goes_on_and_one_between_attempts_has_none() -> None:
    assert fits("duration>=5s", status="running", started_at=NOW - 5 * SECOND)
    assert not fits("duration>=0s OR duration<=1w", status="retrying", started_at=NOW - 5 * SECOND)


PAYLOAD = {"name": "Anna Boë", "count": 3, "ratio": 2.5, "ok": True, "none": None, "items": [{"sku": "A-1"}, {"sku": "b2", "sub": ["x", ["y"]]}], "a.b": "dot"}


@pytest.mark.parametrize(
    "text",
    ['payload.name:"anna BOË"', "payload.count:3", "payload.count:3.0", "payload.ratio:25e-1", "payload.ok:true", "payload.none:null",
     "payload.items.sku:b2", "payload.items.sub:y", 'payload."a.b":dot', "payload.count:2,3", "anna", "boë",
     '"anna boë"', "Anna-Boë", "a-1", "3", "2.5", "dot"],
)  # fmt: skip
def test_values_of_the_payload_are_found(text: str) -> None:
    assert fits(text, payload=PAYLOAD)


@pytest.mark.parametrize("text", ["payload.name:anna", "payload.a.b:dot", "payload.items:b2", "ann", '"boë anna"', '"boë 3"', "name", "true", "null", "25"])
def test_other_values_of_the_payload_are_not_found(text: str) -> None:
    assert not fits(text, payload=PAYLOAD)


def test_words_of_error_and_output_are_found() -> None:
    error = {"type": "FileNotFoundError", "message": "no such file: 'x.csv'", "traceback": "line 7, in read"}
    for text in ("error:filenotfounderror", 'error:"no such FILE"', 'error:"line 7"', '"such file x csv"', "read"):
        assert fits(text, error=error), text
    assert not fits('error:"x csv line"', error=error), "words of different parts do not follow each other"
    assert fits('"42 rows"', outputs=("started\n", "read 42 rows\n")) and not fits("error:42", outputs=("42",))


def test_what_lies_beyond_the_bounds_is_not_searched() -> None:
    assert not fits("last", outputs=("x" * SEARCHED_CHARACTERS + " last",))
    long = {"a": "x" * SEARCHED_CHARACTERS, "b": "last"}
    assert not fits("last", payload=long) and fits("payload.b:last", payload=long)
    assert not fits("last", payload={"a": [*range(SEARCHED_VALUES), "last"]})


def test_queries_are_put_together() -> None:
    assert str(parse("a OR b").and_also(parse("state:failed -c"), EVERYTHING)) == "a OR b state:failed -c"


# ---- completion -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "field", "prefix", "span"),
    [
        ("|", "field", None, "", (0, 0)),
        ("st|", "field", None, "st", (0, 2)),
        ("-st|a", "field", None, "st", (1, 4)),
        ("a (sta|", "field", None, "sta", (3, 6)),
        ("st|ate:fa", "field", None, "st", (0, 5)),
        ("state:|", "value", "state", "", (6, 6)),
        ("x status:queued,fa|il", "value", "state", "fa", (16, 20)),
        ('tag:"a b|', "value", "tag", "a b", (4, 8)),
        ("age<1|", "value", "age", "1", (4, 5)),
        ("payload.a.b:x|", "value", "payload.a.b", "x", (12, 13)),
        ('"some te|xt"', "text", None, "some te", (0, 11)),
        ("a |", "field", None, "", (2, 2)),
    ],
)
def test_what_is_being_typed_is_told(text: str, kind: str, field: str | None, prefix: str, span: tuple[int, int]) -> None:
    caret = text.index("|")
    typed = typed_at(text.replace("|", ""), caret)
    assert (typed.kind, typed.field, typed.prefix, (typed.start, typed.end)) == (kind, field, prefix, span)


def test_choices_are_offered() -> None:
    assert suggestions(typed_at("sta", 3)) == ["state:"]
    assert suggestions(typed_at("a", 1)) == ["actor:", "age", "attempt:"]
    assert suggestions(typed_at("state:s", 7)) == ["scheduled", "succeeded"]
    assert suggestions(typed_at("age<15", 6))[:3] == ["15us", "15ms", "15s"]
    assert suggestions(typed_at("type:t", 6), {"type": ["demo.noop", "text.statistics"]}) == ["text.statistics"]
    assert suggestions(typed_at('"st', 3)) == []
