"""What a context attribute may be (CloudEvents 1.0, "Context Attributes"): names, values, and the types they have."""

import re
from calendar import isleap
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

REQUIRED = ("specversion", "id", "source", "type")
CORE = frozenset({*REQUIRED, "datacontenttype", "dataschema", "subject", "time"})
NAME = re.compile(r"[a-z0-9]{1,20}")

# Controls, unpaired surrogates and noncharacters ("Type System", String).
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)

_PERCENT_ENCODED = re.compile("%[0-9A-Fa-f]{2}")
_SUB = r"\w.~!$&'()*+,;=\-"  # unreserved and sub-delims (\w is ASCII here)
_AUTHORITY = rf"(?:[{_SUB}:]*@)?(?:\[(?:(?P<v6>[0-9A-Fa-f:.]+)|[vV][0-9A-Fa-f]+\.[{_SUB}:]+)\]|[{_SUB}]*)(?::[0-9]*)?"
# RFC 3986 section 4.1, for a text in which each %HH was replaced by "_", which scheme, port and IP address exclude.
_URI_REFERENCE = re.compile(
    rf"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):|(?![^/?#]*:))"
    rf"(?://{_AUTHORITY}(?:/[{_SUB}:@/]*)?|(?!//)[{_SUB}:@/]*)"
    rf"(?:\?[{_SUB}:@/?]*)?(?:#[{_SUB}:@/?]*)?",
    re.ASCII,
)
# RFC 3339 section 5.6
_DATE_TIME = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)"
    r"(?:\.[0-9]+)?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r"\"[^\"\\]*(?:\\.[^\"\\]*)*\""
_MEDIA_TYPE = re.compile(rf"({_WORD}/{_WORD})[ \t]*((?:;[ \t]*(?:{_WORD}=(?:{_WORD}|{_QUOTED})[ \t]*)?)*)", re.ASCII | re.DOTALL)
_PARAMETER = re.compile(rf"({_WORD})=(?:({_WORD})|({_QUOTED}))", re.ASCII | re.DOTALL)


class MediaType(NamedTuple):
    """A content type: `essence` is `type/subtype` in lower case, `charset` in lower case, None when not given."""

    essence: str
    charset: str | None

    @property
    def is_json(self) -> bool:
        """`*/json` or `*/*+json` (JSON format section 3.1.1)."""
        return self.essence.endswith(("/json", "+json"))


def media_type(text: str) -> MediaType | None:
    """The parts of a content type (RFC 2045 section 5.1, RFC 9110 section 8.3.1); None when it is none."""
    return _media_type(text) if len(text) <= 500 else None


@lru_cache(maxsize=64)
def _media_type(text: str) -> MediaType | None:
    found = _MEDIA_TYPE.fullmatch(text)
    if not found:
        return None
    charsets = {
        (token or re.sub(r"\\(.)", r"\1", quoted[1:-1])).lower()
        for name, token, quoted in _PARAMETER.findall(found[2])
        if name.lower() == "charset"
    }
    if len(charsets) > 1:
        return None
    return MediaType(found[1].lower(), charsets.pop() if charsets else None)


def is_uri_reference(text: str, *, absolute: bool = False) -> bool:
    """Whether a text is a URI-reference (RFC 3986 section 4.1); with `absolute`, one that has a scheme."""
    found = _URI_REFERENCE.fullmatch(_PERCENT_ENCODED.sub("_", text) if "%" in text else text)
    if not found or (absolute and not found["scheme"]):
        return False
    return found["v6"] is None or _is_ipv6(found["v6"])


def _is_ipv6(text: str) -> bool:
    from ipaddress import IPv6Address

    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def is_date_time(text: str) -> bool:
    """Whether a text is an RFC 3339 date-time: a real day, and a 60th second only where a leap second may be."""
    found = _DATE_TIME.fullmatch(text)
    if not found:
        return False
    if found[3] > "28" and not _is_day(*map(int, found.group(1, 2, 3))):
        return False
    return str(found[6]) < "60" or _ends_a_day(found)


def _is_day(year: int, month: int, day: int) -> bool:
    return day <= (29 if month == 2 and isleap(year) else _DAYS[month - 1])


def _ends_a_day(found: re.Match[str]) -> bool:
    """Whether a time of day is in the last minute of a day in UTC, where leap seconds are."""
    offset = int(f"{found[7]}1") * (int(found[8]) * 60 + int(found[9])) if found[7] else 0
    return (int(found[4]) * 60 + int(found[5]) - offset) % 1440 == 1439


def _fault_of_specversion(value: str) -> str | None:
    return None if value == "1.0" else f"is {value[:20]!r}; only '1.0' is taken here"


def _fault_of_text(value: str) -> str | None:
    return None if value else "is empty; give it a value or leave it out if it is optional"


_is_uri_reference = lru_cache(maxsize=256)(is_uri_reference)


def _fault_of_source(value: str) -> str | None:
    # few sources send most events; long ones stay out of the cache, so that its memory has a bound
    if value and (_is_uri_reference(value) if len(value) <= 200 else is_uri_reference(value)):
        return None
    return "is no URI-reference (RFC 3986): use a URI, a URN or a path such as '/my/app', with spaces written as %20"


def _fault_of_schema(value: str) -> str | None:
    # A fragment is let pass: the specification's text excludes it, its own JSON Schema ("format": "uri") does not.
    return None if is_uri_reference(value, absolute=True) else "is no absolute URI (RFC 3986)"


def _fault_of_time(value: str) -> str | None:
    return None if is_date_time(value) else "is no RFC 3339 time such as '2026-11-24T08:15:00Z'"


def _fault_of_content_type(value: str) -> str | None:
    return None if media_type(value) else "is no media type such as 'application/json' (RFC 2045)"


_CHECKS: dict[str, Callable[[str], str | None]] = {
    "specversion": _fault_of_specversion,
    "id": _fault_of_text,
    "source": _fault_of_source,
    "type": _fault_of_text,
    "subject": _fault_of_text,
    "dataschema": _fault_of_schema,
    "time": _fault_of_time,
    "datacontenttype": _fault_of_content_type,
}


def fault_of_name(name: str) -> str | None:
    """What is wrong with an attribute's name, in words; None when nothing is."""
    if len(name) <= 20 and _is_name(name):
        return None
    return "is no attribute name: 1 to 20 of a-z and 0-9, and not 'data'"


@lru_cache(maxsize=512)
def _is_name(name: str) -> bool:
    return NAME.fullmatch(name) is not None and name != "data"


def fault_of(name: str, value: str) -> str | None:
    """What is wrong with an attribute, its value in canonical string form, in words; None when nothing is."""
    check = _CHECKS.get(name)
    fault = check(value) if check else fault_of_name(name)
    if fault is None and not (value.isascii() and value.isprintable()) and _FORBIDDEN.search(value):
        return "holds a control character, an unpaired surrogate or a noncharacter; take it out"
    return fault
