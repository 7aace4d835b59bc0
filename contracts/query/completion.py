"""What is being typed at the caret, and what could stand there: for screens that complete queries. Never fails."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.query.fields import JOBS, UNITS, Kind, Language
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


def typed_at(text: str, caret: int, language: Language = JOBS) -> Typed:
    """What stands at the caret, also in a query that is not whole yet."""
    caret = min(max(caret, 0), len(text))
    for term in _TERM.finditer(text):
        if term.start() <= caret <= term.end():
            return _within(text, term, caret, language)
    return Typed("field", "", caret, caret)


def _within(text: str, term: re.Match[str], caret: int, language: Language) -> Typed:
    start = term.start()
    while start < caret and text[start] == "-":
        start += 1
    if text[start : start + 1] == '"':
        return Typed("text", text[start + 1 : caret], start, term.end())
    field = FIELD.match(text, start)
    if field is None or field.end() > caret:
        return Typed("field", text[start:caret], start, term.end() if field is None else field.start("operator"))
    known = field["name"].lower()
    name = language.aliases.get(known, known) + field["path"]
    for value in _LIST_PART.finditer(text, field.end(), term.end()):
        if value.start() <= caret <= value.end():
            return Typed("value", text[value.start() : caret].removeprefix('"'), value.start(), value.end(), name)
    return Typed("value", "", caret, caret, name)


def suggestions(typed: Typed, known: Mapping[str, Sequence[str]] | None = None, language: Language = JOBS) -> list[str]:
    """What could replace what is typed; `known` has the values of fields (types, queues, tags) that the screen knows."""
    if typed.kind == "text":
        return []
    if typed.kind == "field":
        endings = {name: "." if field.kind is Kind.PAYLOAD else ":" if ":" in field.operators else "" for name, field in language.fields.items()}
        return [name + ending for name, ending in endings.items() if name.startswith(typed.prefix.lower())]
    return [_value(value) for value in _values(typed, known or {}, language) if value.lower().startswith(typed.prefix.lower())]


def _values(typed: Typed, known: Mapping[str, Sequence[str]], language: Language) -> Sequence[str]:
    field = language.fields.get(typed.field or "")
    if field is not None and field.kind is Kind.STATE:
        return field.values
    if field is not None and field.kind is Kind.TIME:
        digits = typed.prefix.rstrip("abcdefghijklmnopqrstuvwxyz")
        return [f"{digits}{unit}" for unit in UNITS] if digits[-1:].isdigit() else []
    return known.get(typed.field or "", ())


def _value(value: str) -> str:
    return quoted(value) if re.search(r'[\s(),"]', value) else value
