"""The types of context attributes, compared with the formats of a JSON Schema validator."""

from datetime import datetime

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventing.attributes import is_date_time, is_uri_reference, media_type


def validator(name: str):
    return jsonschema_rs.validator_for({"$schema": "https://json-schema.org/draft/2020-12/schema", "format": name}, validate_formats=True)


URI_REFERENCE, URI, DATE_TIME = validator("uri-reference"), validator("uri"), validator("date-time")
URI_PIECES = [
    "http:",
    "urn:",
    "//",
    "/",
    "a",
    "1",
    ":",
    "@",
    "?",
    "#",
    "%20",
    "%",
    "%4",
    "[::1]",
    "[",
    "]",
    "[v1.a]",
    "ü",
    " ",
    ".",
    "-",
    "80",
    "\\",
    "^",
]


@given(st.lists(st.sampled_from(URI_PIECES), max_size=8).map("".join))
@example("1-555-123-4567")
@example("mailto:cncf-wg-serverless@lists.cncf.io")
@example("urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66")
@example("https://u@h:80/a;b=c/?q=/?#f/?")
@example("//[::ffff:1.2.3.4]:8080")
@example("//[1:2]")
@example("a b")
@example("1a:b")
@example("./1a:b")
@example("%41:b")
def test_uri_references_are_those_of_rfc_3986(text):
    assert is_uri_reference(text) == URI_REFERENCE.is_valid(text)
    assert is_uri_reference(text, absolute=True) == URI.is_valid(text)


def test_a_long_hostile_reference_takes_no_longer_than_its_length():
    for text in ("a" * 200_000 + " ", "/" * 200_000 + " ", "%41" * 100_000 + " ", "//" + "a:" * 100_000 + " "):
        assert not is_uri_reference(text)
    assert media_type("a/b" + " ;" * 240 + "\x00") is None


@given(st.datetimes(timezones=st.timezones()).filter(lambda moment: moment.year >= 1000))
def test_every_time_that_python_writes_with_whole_minutes_of_offset_is_a_time(moment):
    offset = moment.utcoffset()
    if offset is not None and offset.total_seconds() % 60 == 0:
        assert is_date_time(moment.isoformat())


@pytest.mark.parametrize(
    "text",
    ["2026-11-24T08:15:00Z", "2026-11-24t08:15:00.123456789z", "2024-02-29T00:00:00+02:00", "1990-12-31T23:59:60Z",
     "1990-12-31T15:59:60-08:00", "1937-01-01T12:00:27.87+00:20", "0000-02-29T00:00:00Z"],
)  # fmt: skip
def test_times_of_rfc_3339_are_taken(text):
    assert is_date_time(text)


@pytest.mark.parametrize(
    "text",
    ["", "2026-11-24", "2026-11-24T08:15Z", "2026-11-24T08:15:00", "2026-11-24 08:15:00Z", "2026-02-29T00:00:00Z",
     "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-04-31T00:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T08:60:00Z",
     "2026-11-24T08:15:60Z", "2026-11-24T08:15:00.Z", "2026-11-24T08:15:00+2:00", "2026-11-24T08:15:00+24:00",
     "20261124T081500Z", "2026-W48-2T08:15:00Z", "٢٠٢٦-11-24T08:15:00Z", "2026-11-24T08:15:00Z\n", "1900-02-29T00:00:00Z"],
)  # fmt: skip
def test_what_looks_like_a_time_and_is_none_is_not_taken(text):
    assert not is_date_time(text)
    assert not DATE_TIME.is_valid(text)


def test_the_day_of_a_time_is_checked_by_the_calendar():
    for year in (2023, 2024, 1900, 2000):
        for month in range(1, 13):
            for day in range(28, 32):
                text = f"{year}-{month:02d}-{day:02d}T00:00:00Z"
                try:
                    datetime.fromisoformat(text)
                    real = True
                except ValueError:
                    real = False
                assert is_date_time(text) == real


def test_a_media_type_knows_whether_it_is_json():
    for text in ("application/json", "Text/JSON ; a=b", 'application/x+json;charset="UTF-8"'):
        assert (found := media_type(text)) and found.is_json
    for text in ("text/plain", "application/jsonl", "application/json-seq"):
        assert (found := media_type(text)) and not found.is_json
    assert media_type('a/b; charset="u\\tf-8"').charset == "utf-8"
