"""The CloudEvents JSON format (version 1.0.2): what a document must be, and its canonical form here."""

import base64
from binascii import Error as Base64Error
from collections.abc import Iterable
from typing import Any

from contracts import strict_json
from contracts.errors import Fault, MalformedJson, Refused, UnsupportedMediaType
from eventing.attributes import CORE, REQUIRED, MediaType, fault_of, fault_of_name, media_type

UTF8 = (None, "utf-8", "utf8", "us-ascii")
_NO_ATTRIBUTES = ("data", "data_base64")
_INTEGERS = range(-(2**31), 2**31)


def check_document(document: Any) -> list[Fault]:
    """Brings a JSON-format event into canonical form, in place, and says what is wrong with it.

    Null attributes go (unset, section 2.2), Boolean and Integer extensions become their canonical strings, and
    `data_base64` that is declared to be JSON becomes `data` (section 3.1.2).
    """
    if not isinstance(document, dict):
        return [Fault("", "an event is a JSON object")]
    faults: list[Fault] = []
    changed: dict[str, str | None] = {}
    for name, value in document.items():
        if name in _NO_ATTRIBUTES:
            continue
        if isinstance(value, str):
            message = fault_of(name, value)
        else:
            changed[name], message = _canonical(name, value)
        if message:
            faults.append(fault_at(name, message))
    for name, text in changed.items():
        if text is None:
            del document[name]
        else:
            document[name] = text
    faults += missing(document, (fault.pointer[1:] for fault in faults))
    _check_data(document, faults)
    return faults


def _canonical(name: str, value: Any) -> tuple[str | None, str | None]:
    """The canonical string of an attribute that is no JSON string (None for null), and what is wrong with it."""
    if fault := fault_of_name(name):
        return None, fault
    if value is None:
        return None, None
    if name in CORE:
        return None, "is not a JSON string"
    if isinstance(value, bool):
        return ("true" if value else "false"), None
    if isinstance(value, int) and value in _INTEGERS:
        return str(value), None
    return None, "is not a string, a boolean or a 32-bit integer; send it as a string"


def _check_data(document: dict[str, Any], faults: list[Fault]) -> None:
    declared = document.get("datacontenttype")
    media = media_type(declared) if isinstance(declared, str) else None
    if "data_base64" in document:
        _check_base64(document, media, faults)
    elif "data" in document and media and not media.is_json and not isinstance(document["data"], str):
        faults.append(Fault("/data", f"is no string, but datacontenttype is {declared!r}; use data_base64 for bytes"))


def _check_base64(document: dict[str, Any], media: MediaType | None, faults: list[Fault]) -> None:
    encoded = document["data_base64"]
    if encoded is None:
        del document["data_base64"]
        return
    if "data" in document:
        faults.append(Fault("/data_base64", "stands beside data; send one of them"))
        return
    try:
        decoded = base64.b64decode(encoded, validate=True)
        if media is not None and media.is_json:
            document["data"] = json_data(media, decoded)
            del document["data_base64"]
    except (Base64Error, TypeError, ValueError):
        faults.append(Fault("/data_base64", "is no Base64 text (RFC 4648 section 4)"))
    except Refused as error:
        faults += error.faults or (Fault("/data_base64", error.message),)


def missing(document: dict[str, Any], reported: Iterable[str]) -> list[Fault]:
    """The required attributes that an event lacks, without those that have a fault already."""
    if all(name in document for name in REQUIRED):
        return []
    reported = set(reported)
    return [Fault(f"/{name}", "is missing; every event has one") for name in REQUIRED if name not in document and name not in reported]


def fault_at(name: str, message: str) -> Fault:
    """A fault of the event's member of that name."""
    return Fault("/" + name[:100].replace("~", "~0").replace("/", "~1"), message)


def json_data(media: MediaType, body: bytes) -> Any:
    """The value of JSON data. Raises MalformedJson, and UnsupportedMediaType for a charset other than UTF-8."""
    if media.charset not in UTF8:
        raise wrong_charset(media)
    try:
        return strict_json.loads(body)
    except MalformedJson as error:
        raise MalformedJson(faults=[Fault("/data", fault.message) for fault in error.faults]) from None


def wrong_charset(found: MediaType) -> UnsupportedMediaType:
    """The error for JSON in another character set."""
    return UnsupportedMediaType(f"charset {found.charset!r} is not accepted for JSON; send UTF-8.")
