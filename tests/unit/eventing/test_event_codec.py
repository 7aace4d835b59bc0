"""The codec against the text of the CloudEvents 1.0 HTTP binding and JSON format."""

import base64
import json

import pytest

from contracts.errors import ContentTooLarge, MalformedEvent, MalformedJson, Refused, UnsupportedMediaType
from contracts.event import Event
from eventing import codec

ATTRIBUTES = {"specversion": "1.0", "id": "a-1", "source": "/my/app", "type": "com.example.happened"}


def binary(attributes=None, *, content_type="application/json", body=b'{"a":1}', **changes):
    headers = {f"ce-{name}": value for name, value in {**ATTRIBUTES, **(attributes or {}), **changes}.items() if value is not None}
    if content_type is not None:
        headers["content-type"] = content_type
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()], body


def structured(document=None, *, content_type="application/cloudevents+json", **changes):
    merged = {**ATTRIBUTES, **(document or {}), **changes}
    return [(b"content-type", content_type.encode())], json.dumps(merged).encode()


def batched(documents, content_type="application/cloudevents-batch+json"):
    return [(b"content-type", content_type.encode())], json.dumps(documents).encode()


def decoded(request) -> dict:
    [event] = codec.decode(*request)
    return event.document


def refusal(request, error=MalformedEvent) -> dict[str, str]:
    with pytest.raises(error) as caught:
        codec.decode(*request)
    assert type(caught.value) is error
    return {fault.pointer: fault.message for fault in caught.value.faults}


# Which mode


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"Content-Type", b"application/cloudevents+json")], "structured"),
        ([(b"content-type", b"APPLICATION/CloudEvents+JSON; charset=utf-8")], "structured"),
        ([(b"content-type", b"application/cloudevents+avro")], "structured"),
        ([(b"content-type", b"application/cloudevents-batch+json")], "batched"),
        ([(b"content-type", b" Application/CloudEvents-Batch+json")], "batched"),
        ([(b"content-type", b"application/json"), (b"CE-Id", b"1")], "binary"),
        ([(b"ce-specversion", b"1.0")], "binary"),
        ([(b"content-type", b"application/json")], None),
        ([(b"content-type", b"application/json"), (b"ce-subject", b"1")], None),
        ([], None),
    ],
)
def test_the_mode_is_told_by_the_content_type_first_then_by_ce_headers(headers, expected):
    assert codec.mode(headers) == expected


def test_a_request_that_is_no_event_says_how_to_send_one():
    faults = refusal(([(b"content-type", b"application/json")], b"{}"), UnsupportedMediaType)
    assert set(faults) == {"/specversion", "/id", "/source", "/type"}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents",
        "application/cloudevents+avro",
        "application/cloudevents+jsonl",
        "application/cloudevents+json; charset=iso-8859-1",
        "application/cloudevents-batch+json;charset=utf-16",
        "application/cloudevents-batch",
        "application/cloudevents+json; charset=utf-8; charset=utf-16",
    ],
)
def test_an_event_format_or_charset_that_is_not_known_is_refused(content_type):
    refusal(structured(content_type=content_type), UnsupportedMediaType)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json",
        "Application/CloudEvents+JSON",
        "application/cloudevents+json; charset=UTF-8",
        'application/cloudevents+json;CharSet="utf-8"',
        "application/cloudevents+json ; x=y; charset=utf-8",
        " application/cloudevents+json\t",
    ],
)
def test_content_types_are_case_insensitive_and_may_have_parameters(content_type):
    assert decoded(structured(content_type=content_type))["id"] == "a-1"


# Binary mode


def test_a_binary_event_is_its_headers_and_its_body():
    document = decoded(binary(subject="x", time="2026-11-24T08:15:00Z", myextension="5"))
    assert document == {
        **ATTRIBUTES,
        "subject": "x",
        "time": "2026-11-24T08:15:00Z",
        "myextension": "5",
        "datacontenttype": "application/json",
        "data": {"a": 1},
    }


def test_header_names_are_case_insensitive():
    headers, body = binary()
    assert decoded(([(name.upper(), value) for name, value in headers], body)) == decoded((headers, body))


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),  # the specification's own example
        ("Euro%20%e2%82%ac", "Euro €"),
        ("%41%42c", "ABc"),
        ("100%25", "100%"),
        ("%2525", "%25"),
        ("a b", "a b"),
        ('"a b"', "a b"),
        (r'"say \"hi\" \\ there"', r'say "hi" \ there'),
        ('"%41"', "A"),
        ("%22", '"'),
        ("plain!#$&'()*+,-./:;<=>?@[]^_`{|}~", "plain!#$&'()*+,-./:;<=>?@[]^_`{|}~"),
    ],
)
def test_header_values_are_unquoted_then_percent_decoded_once(sent, meant):
    assert decoded(binary(subject=sent))["subject"] == meant


@pytest.mark.parametrize(
    "value",
    ["%C0%A0", "%ff", "%ED%A0%80", "100%", "%4", "%zz", '"open', 'a"b', '"a\\"', "caf\u00e9", "a\tb", "%00", "%0A", "%7F", "%C2%85"],
)
def test_header_values_that_no_encoder_may_send_are_refused(value):
    assert "/subject" in refusal(binary(subject=value))


def test_a_header_that_stands_twice_is_refused():
    headers, body = binary()
    assert "/id" in refusal(([*headers, (b"CE-ID", b"other")], body))
    assert "/datacontenttype" in refusal(([*headers, (b"Content-Type", b"text/plain")], body))


def test_the_content_type_may_not_come_as_a_ce_header():
    assert "/datacontenttype" in refusal(binary(datacontenttype="application/json"))


@pytest.mark.parametrize("name", ["data", "data_base64", "my-extension", "a" * 21, "", "über", "a.b"])
def test_names_that_no_attribute_may_have_are_refused(name):
    headers, body = binary()
    assert f"/{name}" in refusal(([*headers, (b"ce-" + name.encode("latin-1"), b"x")], body))


def test_every_fault_of_a_binary_event_is_listed():
    faults = refusal(binary(id="", specversion="0.3", source="no uri", type=None, time="yesterday", body=b'{"a":'))
    assert set(faults) == {"/id", "/specversion", "/source", "/type", "/time", "/data"}


def test_data_that_is_declared_json_is_parsed_strictly():
    for body in (b"{", b'{"a":NaN}', b'{"a":1,"a":2}', b"\xff", b"[" * 300 + b"]" * 300, b"{} {}", b"1e999"):
        assert set(refusal(binary(body=body), MalformedJson)) == {"/data"}


@pytest.mark.parametrize("content_type", ["application/json", "text/JSON", "application/vnd.x+json; charset=utf-8"])
def test_json_content_types_give_a_json_value(content_type):
    assert decoded(binary(content_type=content_type, body=b"[1]"))["data"] == [1]


def test_json_in_another_charset_is_refused():
    refusal(binary(content_type="application/json; charset=iso-8859-1"), UnsupportedMediaType)


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml; charset=iso-8859-1", "image/png", None])
def test_other_data_is_kept_byte_for_byte(content_type):
    document = decoded(binary(content_type=content_type, body=b"\x00\xff<a/>"))
    assert base64.b64decode(document["data_base64"]) == b"\x00\xff<a/>"
    assert document.get("datacontenttype") == content_type
    assert "data" not in document


def test_an_empty_body_is_no_data():
    document = decoded(binary(body=b""))
    assert "data" not in document and "data_base64" not in document


def test_a_content_type_that_is_none_is_refused():
    for content_type in ("json", "a/b/c", "text/plain; charset", "text/plain, text/html", "text/plain;" + " ;" * 400):
        refusal(binary(content_type=content_type), UnsupportedMediaType)


# Structured mode


def test_a_structured_event_is_its_document():
    document = {**ATTRIBUTES, "data": {"x": [1, None, "ü"]}, "datacontenttype": "application/json", "subject": "ü x"}
    assert decoded(structured(document)) == document


def test_null_attributes_are_unset_and_null_data_is_data():
    document = decoded(structured(subject=None, time=None, mine=None, data=None, data_base64=None))
    assert document == {**ATTRIBUTES, "data": None}


def test_boolean_and_integer_extensions_become_their_canonical_strings():
    document = decoded(structured(yes=True, no=False, number=-5, zero=0, most=2**31 - 1))
    assert {name: document[name] for name in ("yes", "no", "number", "zero", "most")} == {
        "yes": "true",
        "no": "false",
        "number": "-5",
        "zero": "0",
        "most": "2147483647",
    }


@pytest.mark.parametrize("value", [1.5, 5.0, 2**31, -(2**31) - 1, [], {}, ["x"]])
def test_other_json_types_are_no_attribute_values(value):
    assert set(refusal(structured(mine=value))) == {"/mine"}


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
@pytest.mark.parametrize("value", [None, "", 5, True, {}])
def test_required_attributes_are_non_empty_strings(name, value):
    assert set(refusal(structured({name: value}))) == {f"/{name}"}


@pytest.mark.parametrize("name", ["subject", "dataschema", "datacontenttype", "time"])
@pytest.mark.parametrize("value", ["", 5])
def test_optional_attributes_are_left_out_rather_than_empty(name, value):
    assert set(refusal(structured({name: value}))) == {f"/{name}"}


@pytest.mark.parametrize("text", ["a\nb", "\x00", "\x7f", "\x85", "\ufdd0", "\uffff", "\U0001fffe", "\x1b[31m"])
def test_characters_that_no_attribute_may_hold_are_refused(text):
    assert set(refusal(structured(subject=text))) == {"/subject"}
    assert set(refusal(structured(mine=text))) == {"/mine"}


def test_lone_surrogates_are_refused():
    headers, body = structured(subject="X")
    with pytest.raises(Refused):
        codec.decode(headers, body.replace(b'"X"', b'"\\udead"'))


@pytest.mark.parametrize("name", ["Mine", "my_extension", "a" * 21, "my-x", "ä", ""])
def test_members_that_are_no_attributes_are_refused(name):
    assert set(refusal(structured({name: "x"}))) == {f"/{name}"}


def test_long_names_and_values_do_not_come_back_whole_in_the_fault():
    for pointer, message in refusal(structured({"x" * 10_000: "1", "specversion": "2" * 10_000})).items():
        assert len(pointer) < 200 and len(message) < 200


def test_base64_data_is_checked_and_kept():
    document = decoded(structured(data_base64="AP8=", datacontenttype="image/png"))
    assert document["data_base64"] == "AP8="
    for wrong in ("AP8", "A P8=", "!!!!", 5, "ü", []):
        assert set(refusal(structured(data_base64=wrong))) == {"/data_base64"}


def test_base64_data_that_is_declared_json_becomes_its_value():
    encoded = base64.b64encode(b'{"a":1}').decode()
    assert decoded(structured(data_base64=encoded, datacontenttype="application/json"))["data"] == {"a": 1}
    assert decoded(structured(data_base64=encoded))["data_base64"] == encoded
    broken = base64.b64encode(b'{"a":').decode()
    assert set(refusal(structured(data_base64=broken, datacontenttype="application/json"))) == {"/data"}


def test_data_and_base64_data_exclude_each_other():
    assert set(refusal(structured(data=None, data_base64="AP8="))) == {"/data_base64"}


def test_data_of_a_text_type_is_a_string():
    assert decoded(structured(data="<a/>", datacontenttype="application/xml"))["data"] == "<a/>"
    assert set(refusal(structured(data={"a": 1}, datacontenttype="application/xml"))) == {"/data"}


def test_a_json_string_stays_a_string():
    assert decoded(structured(data='{"a":1}'))["data"] == '{"a":1}'


def test_ce_headers_beside_a_structured_event_must_agree_with_it():
    headers, body = structured(subject="ü")
    assert decoded(([*headers, (b"ce-id", b"a-1"), (b"ce-subject", b"%C3%BC")], body))["id"] == "a-1"
    assert set(refusal(([*headers, (b"ce-id", b"other")], body))) == {"/id"}
    assert set(refusal(([*headers, (b"ce-mine", b"x")], body))) == {"/mine"}


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"5"])
def test_a_structured_body_is_a_json_object(body):
    with pytest.raises((MalformedEvent, MalformedJson)):
        codec.decode([(b"content-type", b"application/cloudevents+json")], body)


# Batched mode


def test_a_batch_is_a_list_of_events_and_may_be_empty():
    events = codec.decode(*batched([{**ATTRIBUTES, "id": str(n), "data": n} for n in range(3)]))
    assert [event.id for event in events] == ["0", "1", "2"]
    assert codec.decode(*batched([])) == []


def test_the_faults_of_a_batch_point_to_their_item():
    faults = refusal(batched([ATTRIBUTES, {**ATTRIBUTES, "id": ""}, 5, {**ATTRIBUTES, "time": "x"}]))
    assert set(faults) == {"/1/id", "/2", "/3/time"}


def test_each_item_of_a_batch_can_be_judged_alone():
    good, bad, worse = codec.decode_each(*batched([ATTRIBUTES, {**ATTRIBUTES, "id": ""}, 5]))
    assert isinstance(good, Event) and isinstance(bad, MalformedEvent) and isinstance(worse, MalformedEvent)
    assert [fault.pointer for fault in bad.faults] == ["/id"]


def test_a_batch_has_no_ce_headers_and_is_an_array():
    headers, body = batched([ATTRIBUTES])
    assert "/id" in refusal(([*headers, (b"ce-id", b"a-1")], body))
    refusal(batched(ATTRIBUTES))


def test_a_batch_has_a_largest_size():
    with pytest.raises(ContentTooLarge, match="1,000 events"):
        codec.decode(*batched([{}] * 1001))
    with pytest.raises(ContentTooLarge, match="100 bytes"):
        codec.decode(*batched([ATTRIBUTES] * 10), max_bytes=100)


# Encoding


EVENTS = [
    Event({**ATTRIBUTES, "data": {"a": [1, 2.5, None, "ü"]}, "datacontenttype": "application/json"}),
    Event({**ATTRIBUTES, "data_base64": "AP8="}),
    Event({**ATTRIBUTES, "data_base64": "AP8=", "datacontenttype": "image/png"}),
    Event({**ATTRIBUTES, "subject": 'Euro € 😀 100% "quoted"', "mine": ""}),
]


@pytest.mark.parametrize("event", EVENTS)
def test_what_is_encoded_decodes_to_the_same_event(event):
    for encode in (codec.encode_binary, codec.encode_structured):
        headers, body = encode(event)
        assert decoded(([(name.encode(), value.encode("ascii")) for name, value in headers], body)) == event.document
    headers, body = codec.encode_batch([event, event])
    assert codec.decode([(name.encode(), value.encode()) for name, value in headers], body) == [event, event]


def test_the_specifications_example_is_encoded_as_it_says():
    headers, _ = codec.encode_binary(Event({**ATTRIBUTES, "subject": "Euro € 😀", "mine": 'a"b%\n\x7f~!'}))
    assert ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80") in headers
    assert ("ce-mine", "a%22b%25%0A%7F~!") in headers


def test_data_without_a_declared_type_is_sent_as_json():
    headers, body = codec.encode_binary(Event({**ATTRIBUTES, "data": "I'm just a string"}))
    assert ("content-type", "application/json") in headers and body == b'"I\'m just a string"'


def test_bytes_without_a_declared_type_are_sent_without_one():
    headers, body = codec.encode_binary(Event({**ATTRIBUTES, "data_base64": "AP8="}))
    assert not [name for name, _ in headers if name == "content-type"] and body == b"\x00\xff"


def test_text_is_sent_in_its_own_charset():
    event = Event({**ATTRIBUTES, "data": "ü", "datacontenttype": "text/plain; charset=iso-8859-1"})
    assert codec.encode_binary(event)[1] == b"\xfc"
    for content_type in ("text/plain; charset=klingon", "text/plain; charset=us-ascii"):
        with pytest.raises(MalformedEvent):
            codec.encode_binary(Event({**event.document, "datacontenttype": content_type}))


def test_an_event_of_64_kilobytes_and_more_is_taken():
    text = "x" * 200_000
    assert decoded(structured(data=text))["data"] == text
    assert decoded(binary(body=json.dumps(text).encode()))["data"] == text
