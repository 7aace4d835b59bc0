"""JSON that means the same to every reader: strict on the way in, canonical on the way out.

RFC 8259 leaves duplicate keys, huge numbers and lone surrogates to the reader; I-JSON (RFC 7493) rules them out, and so
does this module. Canonical text has sorted keys, no white space and UTF-8, so equal values have equal bytes.
"""

from typing import Any

import jiter
import orjson

from contracts.errors import Fault, MalformedJson

_INTEGERS = (-(2**63), 2**64 - 1)


def loads(text: bytes) -> Any:
    """The value of a JSON text.

    Raises MalformedJson for anything that is not UTF-8 JSON, for NaN, infinities, duplicate keys, nesting beyond 200
    levels and integers beyond 64 bits.
    """
    try:
        value = jiter.from_json(text, allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="keys")
        orjson.loads(text)  # refuses what the other lets pass: numbers that overflow to infinity
    except ValueError as error:
        raise MalformedJson(faults=[Fault("", f"not valid JSON: {error}")]) from None
    if len(text) > 19 and _has_huge_integer(value):
        raise MalformedJson(faults=[Fault("", "not valid JSON here: an integer is beyond 64 bits; send it as a string")])
    return value


def _has_huge_integer(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return True
    return False


def dumps(value: Any) -> bytes:
    """Canonical UTF-8 bytes. Raises TypeError for what JSON cannot hold."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def dumps_text(value: Any) -> str:
    """Canonical text, for a text column."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
