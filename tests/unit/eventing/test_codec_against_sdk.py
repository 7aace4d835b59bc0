"""The codec against the CloudEvents SDK: equal wherever the SDK keeps the specification, and named where it does not."""

import base64
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Refused
from contracts.event import Event
from eventing import codec

PRINTABLE = "".join(sorted(set(string.printable) - set(string.whitespace) - set('"%')))
REQUIRED = {"specversion": "1.0", "id": "a-1", "source": "/my/app", "type": "com.example.happened"}

# What the SDK can carry: it neither percent-encodes headers nor decodes them (see the last test), takes an empty JSON
# string for no data, and invents a time where there is none.
plain_text = st.text(PRINTABLE, min_size=1, max_size=20)
any_text = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=20)
sources = st.builds("".join, st.lists(st.sampled_from(["/", "a", "-", "x1", ".", "~"]), min_size=1, max_size=6)).filter(
    lambda text: not text.startswith("//")
)
names = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20).filter(lambda name: name not in RESERVED)
RESERVED = {"data", "id", "source", "type", "specversion", "time", "subject", "dataschema", "datacontenttype", "extensions"}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)


def events(text, values=json_values):
    json_data = st.fixed_dictionaries({"data": values}, optional={"datacontenttype": st.just("application/json")})
    byte_data = st.fixed_dictionaries(
        {"data_base64": st.binary(min_size=1, max_size=20).map(lambda raw: base64.b64encode(b"\xff" + raw).decode())},
        optional={"datacontenttype": st.sampled_from(["image/png", "text/plain"])},
    )
    required = st.fixed_dictionaries(
        {
            "specversion": st.just("1.0"),
            "id": text.filter(bool),
            "type": text.filter(bool),
            "source": sources,
            "time": st.datetimes().filter(lambda moment: moment.year >= 1000).map(lambda moment: moment.isoformat() + "Z"),
        },
        optional={"subject": text.filter(bool), "dataschema": st.just("https://example.com/schema#1")},
    )
    extensions = st.dictionaries(names, text, max_size=3)
    return st.builds(
        lambda *parts: Event({name: value for part in parts for name, value in part.items()}), extensions, required, json_data | byte_data
    )


def raw(headers):
    return [(name.encode(), value.encode("ascii")) for name, value in headers]


def as_sdk_sees(event: Event) -> dict:
    """The SDK's view of an event of ours: bytes in place of Base64, an empty string is no data."""
    view = dict(event.document)
    if "data_base64" in view:
        view["data"] = base64.b64decode(view.pop("data_base64"))
    view["data"] = view.get("data") if view.get("data") != "" else None
    return view


@given(events(any_text))
def test_the_sdk_reads_what_we_send_structured(event):
    headers, body = codec.encode_structured(event)
    assert codec.sdk_decode(raw(headers), body) == as_sdk_sees(event)


@given(events(plain_text, json_values.filter(lambda value: value is not None)))
def test_the_sdk_reads_what_we_send_binary(event):
    headers, body = codec.encode_binary(event)
    seen = codec.sdk_decode(raw(headers), body)
    if "data" in event.document:
        seen.setdefault("datacontenttype", "application/json")
        event = Event({"datacontenttype": "application/json", **event.document})
    assert seen == as_sdk_sees(event)


@given(events(any_text))
def test_we_read_what_the_sdk_sends_structured(event):
    headers, body = codec.sdk_encode(event, binary=False)
    [seen] = codec.decode(raw(headers), body)
    expected = dict(event.document)
    if expected.get("data", "") is None:  # the SDK drops an explicit null (JSON format section 3.1.1 keeps it)
        del expected["data"]
    assert seen.document == expected


@given(events(plain_text, json_values.filter(lambda value: value is not None)))
def test_we_read_what_the_sdk_sends_binary(event):
    headers, body = codec.sdk_encode(event, binary=True)
    [seen] = codec.decode(raw(headers), body)
    if "data" in event.document and "datacontenttype" not in event.document:  # the SDK sends JSON and does not say so
        assert seen.document == {**event.attributes(), "data_base64": base64.b64encode(body).decode()}
    else:
        assert seen == event


@given(st.lists(events(any_text), max_size=4))
def test_every_event_survives_each_mode_unchanged(several):
    for event in several:
        headers, body = codec.encode_structured(event)
        assert codec.decode(raw(headers), body) == [event]
        headers, body = codec.encode_binary(event)
        expected = event if "data" not in event.document else Event({"datacontenttype": "application/json", **event.document})
        assert codec.decode(raw(headers), body) == [expected]
    headers, body = codec.encode_batch(several)
    assert codec.decode(raw(headers), body) == several


header_bytes = st.binary(max_size=12) | st.sampled_from([b"1.0", b"/x", b"%C3%BC", b'"q\\"', b"%", b"2026-11-24T08:15:00Z"])
header_names = st.sampled_from(
    [b"ce-id", b"CE-Source", b"ce-type", b"ce-specversion", b"ce-time", b"ce-", b"ce-data", b"ce-x_y", b"content-type", b"host"]
)
content_types = st.sampled_from(
    [b"application/json", b"application/cloudevents+json", b"application/cloudevents-batch+json", b"text/plain; charset=x", b";", b"\xff"]
)
bodies = st.binary(max_size=30) | json_values.map(lambda value: json.dumps(value).encode()) | st.just(json.dumps(REQUIRED).encode())


@given(st.lists(st.tuples(header_names, header_bytes) | st.tuples(st.just(b"content-type"), content_types), max_size=7), bodies)
def test_no_request_whatever_makes_the_decoder_fail_otherwise_than_in_words(headers, body):
    codec.mode(headers)
    try:
        for event in codec.decode(headers, body):
            assert all(isinstance(value, str) for value in event.attributes().values())
            sent, content = codec.encode_structured(event)
            assert codec.decode(raw(sent), content) == [event]
    except Refused as error:
        assert error.status in (400, 413, 415)
        assert error.message


def binary(body=b"{}", content_type="application/json", **attributes):
    headers = [(f"ce-{name}", value) for name, value in {**REQUIRED, **attributes}.items()]
    return [(name.encode(), value.encode("latin-1")) for name, value in [*headers, ("content-type", content_type)]], body


def structured(text: str):
    return [(b"content-type", b"application/cloudevents+json")], text.encode()


def document(**changes) -> str:
    return json.dumps({**REQUIRED, **changes})


LAX = {
    "an empty id": binary(id=""),
    "an integer id": structured(document(id=5)),
    "a source that is no URI-reference": binary(source="my app"),
    "a time that is none": structured(document(time="yesterday")),
    "an attribute name with an underscore": structured(document(my_name="x")),
    "an attribute that is an object": structured(document(mine={})),
    "a control character": structured(document(subject="a\nb")),
    "a raw non-ASCII header": binary(subject="caf\u00e9"),
    "a percent sign that encodes nothing": binary(subject="100%"),
    "percent-encoded bytes that are no UTF-8": binary(subject="%C0%A0"),
    "ce-datacontenttype beside Content-Type": binary(datacontenttype="text/plain"),
    "JSON data that does not parse": binary(b'{"a":'),
    "NaN": binary(b'{"a":NaN}'),
    "a key that stands twice": structured('{"id":"0",' + document()[1:]),
    "a charset other than UTF-8": binary(b'"\xfc"', "application/json; charset=iso-8859-1"),
    "no content type of an event": ([(b"content-type", b"text/plain")], document().encode()),
    "text data that is no string": structured(document(datacontenttype="text/plain", data={})),
    "Base64 with other characters in it": structured(document(data_base64="A!P8=")),
    "headers that contradict the document": ([*structured("")[0], (b"ce-id", b"other")], document().encode()),
}


@pytest.mark.parametrize("what", LAX)
def test_the_sdk_takes_what_the_specification_forbids_and_we_refuse_it(what):
    headers, body = LAX[what]
    codec.sdk_decode(headers, body)
    with pytest.raises(Refused):
        codec.decode(headers, body)


def test_the_sdk_leaves_header_values_encoded():
    request = binary(subject="%C3%BC")
    assert codec.sdk_decode(*request)["subject"] == "%C3%BC"
    assert codec.decode(*request)[0].subject == "ü"


def test_the_sdk_invents_a_time():
    request = binary()
    assert codec.sdk_decode(*request)["time"]
    assert codec.decode(*request)[0].time is None


def test_the_sdk_parses_text_that_looks_like_json():
    request = binary(b"123", "text/plain")
    assert codec.sdk_decode(*request)["data"] == 123
    assert codec.decode(*request)[0].document["data_base64"] == "MTIz"


def test_the_sdk_takes_no_batch():
    headers, body = codec.encode_batch([Event(dict(REQUIRED))])
    with pytest.raises(Exception, match="get"):
        codec.sdk_decode(raw(headers), body)
