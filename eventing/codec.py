"""CloudEvents 1.0 over HTTP: binary, structured and batched mode, strictly by the specification.

Sources: CloudEvents 1.0.2 "HTTP Protocol Binding" and "JSON Event Format". Nothing is invented or mended: an event that
breaks a rule is refused with every fault it has, each with a JSON pointer into the event's JSON form.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal
from urllib.parse import quote_from_bytes, unquote_to_bytes

from contracts import strict_json
from contracts.errors import ContentTooLarge, Fault, MalformedEvent, MalformedJson, Refused, UnsupportedMediaType
from contracts.event import Event
from eventing.attributes import REQUIRED, MediaType, fault_of, media_type
from eventing.json_format import UTF8, check_document, fault_at, json_data, missing, wrong_charset

Mode = Literal["binary", "structured", "batched"]
Headers = Iterable[tuple[bytes, bytes]]

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
MAX_BATCH_ITEMS = 1_000
MAX_BATCH_BYTES = 5_000_000

_MARKS = frozenset({b"ce-specversion", b"ce-id", b"ce-source", b"ce-type"})
_PLAIN_BYTES = re.compile(rb"[!#$&-~]*")
_PRINTABLE_BYTES = re.compile(rb"[ -~]*")
_QUOTED = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"')
_WELL_QUOTED = re.compile(rb'[^"]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"]*)*')
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PLAIN = re.compile(r"[!#$&-~]*")
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def mode(headers: Headers) -> Mode | None:
    """Which content mode a request is in (HTTP binding section 3); None when it is no CloudEvent at all."""
    marked = False
    for raw_name, value in headers:
        name = raw_name.lower()
        if name == b"content-type" and (found := _mode_of(value.strip())):
            return found
        marked = marked or name in _MARKS
    return "binary" if marked else None


def _mode_of(content_type: bytes) -> Mode | None:
    if content_type[:23].lower() != b"application/cloudevents":
        return None
    return "batched" if content_type[23:29].lower() == b"-batch" else "structured"


def decode(headers: Headers, body: bytes, *, max_items: int = MAX_BATCH_ITEMS, max_bytes: int = MAX_BATCH_BYTES) -> list[Event]:
    """The events of a request: one in binary and structured mode, any number in batched mode.

    `headers` are raw names and values as ASGI has them. Raises MalformedEvent, MalformedJson, UnsupportedMediaType or
    ContentTooLarge, each listing every fault; the faults of a batch point to the item (`/3/id`).
    """
    faults: list[Fault] = []
    events = []
    for index, item in enumerate(decode_each(headers, body, max_items=max_items, max_bytes=max_bytes)):
        if isinstance(item, Event):
            events.append(item)
        else:
            faults += (Fault(f"/{index}{fault.pointer}", fault.message) for fault in item.faults)
    if faults:
        raise MalformedEvent(faults=faults)
    return events


def decode_each(
    headers: Headers, body: bytes, *, max_items: int = MAX_BATCH_ITEMS, max_bytes: int = MAX_BATCH_BYTES
) -> list[Event | MalformedEvent]:
    """As decode, but an item of a batch that is no event stands in its place as the MalformedEvent it is."""
    content_type, attributes = _read_headers(headers)
    found = _mode_of(content_type) if content_type is not None else None
    if found == "structured":
        _media_type(content_type, STRUCTURED)
        return [_decode_structured(attributes, body)]
    if found == "batched":
        _media_type(content_type, BATCHED)
        return _decode_batch(attributes, body, max_items, max_bytes)
    if not any(name in attributes for name in REQUIRED):
        raise UnsupportedMediaType(
            f"The request is not a CloudEvent: send Content-Type {STRUCTURED}, or the ce- headers of an event.",
            faults=[Fault(f"/{name}", f"is missing: there is no header ce-{name}") for name in REQUIRED],
        )
    return [_decode_binary(content_type, attributes, body)]


def _read_headers(headers: Headers) -> tuple[bytes | None, dict[str, bytes]]:
    """The content type and the ce- headers by attribute name, as sent."""
    content_type: bytes | None = None
    attributes: dict[str, bytes] = {}
    faults: list[Fault] = []
    for raw_name, value in headers:
        name = raw_name.lower()
        if name.startswith(b"ce-"):
            attribute = name[3:].decode("latin-1")
            if attribute in attributes:
                faults.append(Fault(f"/{attribute}", f"stands twice: send the header ce-{attribute} once"))
            attributes[attribute] = value
        elif name == b"content-type":
            if content_type is not None:
                faults.append(Fault("/datacontenttype", "stands twice: send the header Content-Type once"))
            content_type = value.strip(b" \t")
    if faults:
        raise MalformedEvent(faults=faults)
    return content_type, attributes


def _media_type(raw: bytes | None, expected: str | None = None) -> MediaType:
    text = (raw or b"").decode("latin-1")
    found = media_type(text)
    if found is None or (expected and found.essence != expected):
        raise UnsupportedMediaType(
            f"Content-Type {text[:80]!r} is not accepted here; events come as {STRUCTURED}, {BATCHED} or in binary mode."
        )
    if expected and found.charset not in UTF8:
        raise wrong_charset(found)
    return found


# Binary mode (HTTP binding section 3.1)


def _decode_binary(content_type: bytes | None, attributes: dict[str, bytes], body: bytes) -> Event:
    document, faults = _attributes_of(attributes)
    if "datacontenttype" in attributes:
        faults.append(Fault("/datacontenttype", "comes as Content-Type in binary mode; leave out ce-datacontenttype"))
    faults += missing(document, attributes)
    refusal: Refused | None = None
    try:
        _read_data(document, content_type, body)
    except (MalformedJson, UnsupportedMediaType) as error:
        refusal = error
    if faults:
        raise MalformedEvent(faults=[*faults, *(refusal.faults if refusal else ())])
    if refusal:
        raise refusal
    return Event(document)


def _attributes_of(raw: dict[str, bytes]) -> tuple[dict[str, Any], list[Fault]]:
    """The attributes that ce- headers carry, and what is wrong with them."""
    document: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, value in raw.items():
        try:
            text = value.decode("ascii") if _PLAIN_BYTES.fullmatch(value) else _unescaped(value)
        except ValueError as error:
            faults.append(fault_at(name, str(error)))
            continue
        document[name] = text
        if message := fault_of(name, text):
            faults.append(fault_at(name, message))
    return document, faults


def _unescaped(raw: bytes) -> str:
    """A header's value as text: double-quoted strings first, then one round of percent-decoding (section 3.1.3.2)."""
    value = raw.strip(b" \t")
    if not _PRINTABLE_BYTES.fullmatch(value):
        raise ValueError("holds bytes outside printable ASCII; percent-encode them as UTF-8")
    if b'"' in value:
        if not _WELL_QUOTED.fullmatch(value):
            raise ValueError("holds a double quote that is not closed; write it as %22")
        value = _QUOTED.sub(lambda found: re.sub(rb"\\(.)", rb"\1", found[1]), value)
    if _STRAY_PERCENT.search(value):
        raise ValueError("holds a % without two hexadecimal digits after it; write it as %25")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise ValueError("holds percent-encoded bytes that are not UTF-8") from None


def _read_data(document: dict[str, Any], content_type: bytes | None, body: bytes) -> None:
    media = None
    if content_type is not None:
        media = _media_type(content_type)
        document["datacontenttype"] = content_type.decode("latin-1")
    if not body:
        return
    if media is not None and media.is_json:
        document["data"] = json_data(media, body)
    else:
        document["data_base64"] = base64.b64encode(body).decode("ascii")


# Structured and batched mode (sections 3.2 and 3.3; JSON format)


def _decode_structured(attributes: dict[str, bytes], body: bytes) -> Event:
    document = strict_json.loads(body)
    faults = check_document(document)
    if attributes and isinstance(document, dict):
        faults += _disagreements(document, attributes)
    if faults:
        raise MalformedEvent(faults=faults)
    return Event(document)


def _disagreements(document: dict[str, Any], raw: dict[str, bytes]) -> list[Fault]:
    """The ce- headers that a structured request may repeat (section 3.2.3) must say what the event says."""
    copies, faults = _attributes_of(raw)
    return faults + [
        fault_at(name, f"differs from the header ce-{name}; leave the header out")
        for name, value in copies.items()
        if document.get(name) != value
    ]


def _decode_batch(attributes: dict[str, bytes], body: bytes, max_items: int, max_bytes: int) -> list[Event | MalformedEvent]:
    if len(body) > max_bytes:
        raise ContentTooLarge(f"A batch holds at most {max_bytes:,} bytes, this one has {len(body):,}; send it in parts.")
    if attributes:
        raise MalformedEvent(faults=[fault_at(name, "is a ce- header; a batch has none") for name in attributes])
    items = strict_json.loads(body)
    if not isinstance(items, list):
        raise MalformedEvent(faults=[Fault("", "a batch is a JSON array of events")])
    if len(items) > max_items:
        raise ContentTooLarge(f"A batch holds at most {max_items:,} events, this one has {len(items):,}; send it in parts.")
    return [MalformedEvent(faults=faults) if (faults := check_document(document)) else Event(document) for document in items]


# Encoding


def encode_structured(event: Event) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of an event in structured mode."""
    return [("content-type", STRUCTURED)], event.canonical()


def encode_batch(events: Sequence[Event]) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of events in batched mode."""
    return [("content-type", BATCHED)], strict_json.dumps([event.document for event in events])


def encode_binary(event: Event) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of an event in binary mode.

    Data without a declared type is JSON and says so in Content-Type (JSON format section 3.1.2). Raises MalformedEvent
    for text data in a character set that cannot hold it.
    """
    document = event.document
    headers = [
        (f"ce-{name}", value if _PLAIN.fullmatch(value) else quote_from_bytes(value.encode(), _SAFE))
        for name, value in event.attributes().items()
        if name != "datacontenttype"
    ]
    content_type = document.get("datacontenttype") or ("application/json" if "data" in document else None)
    if content_type:
        headers.append(("content-type", content_type))
    return headers, _body(document, content_type)


def _body(document: dict[str, Any], content_type: str | None) -> bytes:
    if "data_base64" in document:
        return base64.b64decode(document["data_base64"])
    if "data" not in document:
        return b""
    media = media_type(content_type or "")
    if media is None or media.is_json:
        return strict_json.dumps(document["data"])
    try:
        return str(document["data"]).encode(media.charset or "utf-8")
    except (LookupError, UnicodeEncodeError):
        raise MalformedEvent(faults=[Fault("/data", f"cannot be written in charset {media.charset!r}; use UTF-8 or data_base64")]) from None


# The CloudEvents SDK, for comparison: a test holds this codec equal to it. Imported here alone, and only when called.


def sdk_decode(headers: Headers, body: bytes) -> dict[str, Any]:
    """What the CloudEvents SDK makes of a request: its attributes, with `data` beside them."""
    from cloudevents.conversion import to_dict
    from cloudevents.http import from_http

    return to_dict(from_http({name.decode("latin-1"): value.decode("latin-1") for name, value in headers}, body))


def sdk_encode(event: Event, *, binary: bool) -> tuple[list[tuple[str, str]], bytes]:
    """What the CloudEvents SDK sends for an event."""
    from cloudevents.conversion import to_binary, to_structured
    from cloudevents.http import CloudEvent

    data = base64.b64decode(event.document["data_base64"]) if "data_base64" in event.document else event.data
    headers, body = (to_binary if binary else to_structured)(CloudEvent(event.attributes(), data))
    return list(headers.items()), body
