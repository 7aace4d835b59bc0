"""A query as text that reads back as the same query."""

import re

from contracts.query.fields import UNITS
from contracts.query.syntax import AllOf, AnyOf, Compare, ErrorSays, Is, Node, Not, PayloadIs, Says

KEYWORDS = frozenset({"OR", "AND", "NOT"})
_BARE_WORD = re.compile(r"\w[\w./@+-]*")
_BARE_VALUE = re.compile(r"\w[\w./@+:=-]*")
_BARE_SEGMENT = re.compile(r"[\w$-]+")


def printed(node: Node) -> str:
    """The text of a tree: terms side by side, `OR` between alternatives, parentheses where they are needed."""
    return " ".join(map(_alternatives, node.parts)) if isinstance(node, AllOf) else _alternatives(node)


def _alternatives(node: Node) -> str:
    if isinstance(node, AnyOf) and _listed(node) is None:
        return " OR ".join(map(_factor, node.parts))
    return _factor(node)


def _factor(node: Node) -> str:
    if isinstance(node, Not):
        return f"-{_factor(node.part)}"
    if isinstance(node, AnyOf) and (listed := _listed(node)) is not None:
        return listed
    if isinstance(node, AllOf | AnyOf):
        return f"({printed(node)})"
    return _term(node)


def _listed(node: AnyOf) -> str | None:
    """`state:a,b` for alternatives of one exact field."""
    terms = [part for part in node.parts if isinstance(part, Is)]
    if len(terms) < len(node.parts) or len({term.field for term in terms}) > 1:
        return None
    return f"{terms[0].field}:{','.join(_value(term.value) for term in terms)}"


def _term(term: Is | Compare | ErrorSays | PayloadIs | Says) -> str:
    if isinstance(term, Is):
        return f"{term.field}:{_value(term.value)}"
    if isinstance(term, Compare):
        return f"{term.field}{term.operator}{time_text(term.value) if term.field in ('age', 'duration') else term.value}"
    if isinstance(term, ErrorSays):
        return f"{term.field}:{_value(term.text)}"
    if isinstance(term, PayloadIs):
        return f"payload{''.join(map(_segment, term.path))}:{_value(term.value)}"
    return term.text if _BARE_WORD.fullmatch(term.text) and term.text not in KEYWORDS else quoted(term.text)


def _segment(name: str) -> str:
    return f".{name if _BARE_SEGMENT.fullmatch(name) else quoted(name)}"


def _value(text: str) -> str:
    return text if _BARE_VALUE.fullmatch(text) else quoted(text)


def quoted(text: str) -> str:
    """The text in quotes, with a backslash before quotes and backslashes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def time_text(micros: int) -> str:
    """The length of time in the greatest unit that holds it whole: 5400 seconds are `90m`."""
    for unit, size in reversed(UNITS.items()):
        if micros % size == 0 and micros:
            return f"{micros // size}{unit}"
    return "0s"
