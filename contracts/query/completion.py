"""What is being typed at the caret, and what could stand there: for screens that complete queries. Never fails."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.query.fields import ALIASES, FIELDS, STATES, UNITS, Kind
from contracts.query.parser import FIELD
from contracts.query.printing import quoted

_TERM = re.compile(r'(?:"(?:[^"\\]|\\.)*"?|[^\s()"])+', re.DOTALL)
_LIST_PART = re.compile(r'(?:"(?:[^"\\]|\\.)*"?|[^,"])*', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Typed:
    """`kind` is `field` (a name, or a word of free text), `value` (of `field`) or `text` (in quotes).

    `prefix` is what stands before the caret; a choice replaces the characters from `start` to `end`.
    """

    kind: str
    prefix: str
    start: int
    end: int
    field: str | None = None


def typed_at(text: str, caret: int) -> Typed:
    """What stands at the caret, also in a query that is not whole yet."""
    caret = min(max(caret, 0), len(text))
    for term in _TERM.finditer(text):
        if term.start() <= caret <= term.end():
            return _within(text, term, caret)
    return Typed("field", "", caret, caret)


def _within(text: str, term: re.Match[str], caret: int) -> Typed:
    start = term.start()
    while start < caret and text[start] == "-":
        start += 1
    if text[start : start + 1] == '"':
        return Typed("text", text[start + 1 : caret], start, term.end())
    field = FIELD.match(text, start)
    if field is None or field.end() > caret:
        return Typed("field", text[start:caret], start, term.end() if field is None else field.start("operator"))
    name = ALIASES.get(field["name"].lower(), field["name"].lower()) + field["path"]
    for value in _LIST_PART.finditer(text, field.end(), term.end()):
        if value.start() <= caret <= value.end():
            return Typed("value", text[value.start() : caret].removeprefix('"'), value.start(), value.end(), name)
    return Typed("value", "", caret, caret, name)


def suggestions(typed: Typed, known: Mapping[str, Sequence[str]] | None = None) -> list[str]:
    """What could replace what is typed; `known` has the values of fields (types, queues, tags) that the screen knows."""
    if typed.kind == "text":
        return []
    if typed.kind == "field":
        endings = {name: "." if field.kind is Kind.PAYLOAD else ":" if ":" in field.operators else "" for name, field in FIELDS.items()}
        return [name + ending for name, ending in endings.items() if name.startswith(typed.prefix.lower())]
    return [_value(value) for value in _values(typed, known or {}) if value.lower().startswith(typed.prefix.lower())]


def _values(typed: Typed, known: Mapping[str, Sequence[str]]) -> Sequence[str]:
    field = FIELDS.get(typed.field or "")
    if field is not None and field.kind is Kind.STATE:
        return STATES
    if field is not None and field.kind is Kind.TIME:
        digits = typed.prefix.rstrip("abcdefghijklmnopqrstuvwxyz")
        return [f"{digits}{unit}" for unit in UNITS] if digits[-1:].isdigit() else []
    return known.get(typed.field or "", ())


def _value(value: str) -> str:
    return quoted(value) if re.search(r'[\s(),"]', value) else value
