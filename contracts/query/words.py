"""What of a job can be searched: its words, and the values of its payload by their paths.

The bounds below are part of the language: what lies beyond them is not searched, by any store.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

SEARCHED_CHARACTERS = 32_768  # of a payload's texts together, of an error's part, of an attempt's output
SEARCHED_VALUES = 1_000  # of one payload
LONGEST_WORD = 64
DEEPEST_PAYLOAD = 32
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,38})(\.[0-9]{1,38})?([eE][+-]?[0-9]{1,3})?")


def words(text: str) -> list[str]:
    """The words of a text in order: runs of letters, digits and `_`, without case, at most 64 characters each."""
    return [word[:LONGEST_WORD] for word in _WORD.findall(folded(text[:SEARCHED_CHARACTERS]))]


def folded(text: str) -> str:
    """Without case; different writings of the same characters become one (Unicode NFKC)."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def follow_each_other(wanted: list[str], found: list[str]) -> bool:
    """Whether the wanted words stand in `found`, one after the other."""
    return f" {' '.join(wanted)} " in f" {' '.join(found)} "


def leaves(payload: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of each value that is neither object nor list; elements of a list have the list's path."""
    left = SEARCHED_VALUES
    stack: list[tuple[tuple[str, ...], Any]] = [((), payload)]
    while stack and left:
        path, value = stack.pop()
        if isinstance(value, dict):
            if len(path) < DEEPEST_PAYLOAD:
                stack += [((*path, key), value[key]) for key in sorted(value, reverse=True)]
        elif isinstance(value, list):
            stack += [(path, element) for element in reversed(value[:SEARCHED_VALUES])]
        else:
            left -= 1
            yield path, value


def value_key(value: Any) -> str:
    """Values of equal keys are equal to a query: without case, and a number is the same however it is written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    text = folded(value) if isinstance(value, str) else repr(value)
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    if number[1] is None and number[2] is None:
        return "0" if text == "-0" else text
    exact = float(text)
    return str(int(exact)) if exact.is_integer() and abs(exact) < 2**53 else repr(exact)
