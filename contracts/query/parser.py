"""Reads a query. Every fault points at its character and says what is allowed there."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from contracts.errors import MalformedQuery
from contracts.query.fields import JOBS, UNITS, Field, Kind, Language
from contracts.query.printing import KEYWORDS
from contracts.query.syntax import Compare, ErrorSays, Is, Node, PayloadIs, Query, Says, all_of, any_of, negated
from contracts.query.words import words

LONGEST = 2_000
MOST_TERMS = 64
DEEPEST = 16
MOST_WORDS = 32
LONGEST_TIME = 1_000 * 365 * UNITS["d"]

QUOTED = r'"(?:[^"\\]|\\.)*"'
FIELD = re.compile(rf'(?P<name>[A-Za-z_][\w-]*)(?P<path>(?:\.(?:{QUOTED}|[^\s.,"():<>=]*))*)(?P<operator>>=|<=|[:<>=])', re.DOTALL)
_SEGMENT = re.compile(rf'\.({QUOTED}|[^\s.,"():<>=]*)', re.DOTALL)
_WORD = re.compile(r'[^\s()"]+')
_VALUE = re.compile(r'[^\s(),"]+')
_QUOTED = re.compile(QUOTED, re.DOTALL)
_TIME_PART = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)([A-Za-z]*)")


def parse(text: str, language: Language = JOBS) -> Query:
    """The query of a text; blank text is everything. Raises MalformedQuery."""
    if len(text) > LONGEST:
        raise MalformedQuery(f"a query has at most {LONGEST:,} characters; this one has {len(text):,}", LONGEST)
    return _Parser(text, language).whole()


class _Parser:
    def __init__(self, text: str, language: Language) -> None:
        self.text, self.language, self.at, self.terms, self.depth = text, language, 0, 0, 0

    # ---- structure --------------------------------------------------------------------------------------------

    def whole(self) -> Query:
        root = self._conjunction()
        if self.at < len(self.text):
            raise MalformedQuery("this parenthesis closes nothing; put what it should belong to in quotes, or remove it", self.at)
        return Query(root)

    def _conjunction(self) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", ")"):
            parts.append(self._alternatives())
        return all_of(parts)

    def _alternatives(self) -> Node:
        parts = [self._factor()]
        while (keyword := self._keyword()) is not None:
            at = self.at
            if keyword != "OR":
                raise MalformedQuery(_NO_KEYWORD[keyword], at, 3)
            self.at += 2
            if self._peek() in ("", ")"):
                raise MalformedQuery("OR stands between two terms, and none follows; to search for the word, write \"OR\"", at, 2)
            parts.append(self._factor())
        return any_of(parts)

    def _factor(self) -> Node:
        character, at = self._peek(), self.at
        self.depth += 1
        if self.depth > DEEPEST:
            raise MalformedQuery(f"parentheses and minus signs go {DEEPEST} deep at most", at)
        if (keyword := self._keyword()) is not None:
            words_ = _NO_KEYWORD.get(keyword, 'OR stands between two terms; to search for the word, write "OR"')
            raise MalformedQuery(words_, at, len(keyword))
        node = self._negation() if character == "-" else self._group() if character == "(" else self._term()
        self.depth -= 1
        return node

    def _negation(self) -> Node:
        self.at += 1
        if self.at >= len(self.text) or self.text[self.at].isspace() or self.text[self.at] == ")":
            raise MalformedQuery("a minus sign stands directly before what it rules out, such as -tag:nightly", self.at - 1)
        return negated(self._factor())

    def _group(self) -> Node:
        at = self.at
        self.at += 1
        node = self._conjunction()
        if self._peek() != ")":
            raise MalformedQuery("this parenthesis is not closed", at)
        if not self.text[at + 1 : self.at].strip():
            raise MalformedQuery("there is nothing between these parentheses", at, self.at + 1 - at)
        self.at += 1
        return node

    def _peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def _keyword(self) -> str | None:
        self._peek()
        found = _WORD.match(self.text, self.at)
        return found[0] if found is not None and found[0] in KEYWORDS else None

    # ---- terms ------------------------------------------------------------------------------------------------

    def _term(self) -> Node:
        self.terms += 1
        if self.terms > MOST_TERMS:
            raise MalformedQuery(f"a query has at most {MOST_TERMS} terms", self.at)
        found = FIELD.match(self.text, self.at)
        if found is not None:
            return self._field(found)
        at = self.at
        return _says(self._quoted() if self.text[at] == '"' else self._bare(_WORD), at, self.at - at)

    def _bare(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def _quoted(self) -> str:
        found = _QUOTED.match(self.text, self.at)
        if found is None:
            raise MalformedQuery("this quote is not closed", self.at)
        self.at = found.end()
        return unquoted(found[0])

    def _field(self, found: re.Match[str]) -> Node:
        field = _known_field(found, self.language)
        operator, at = found["operator"], found.start("operator")
        if operator not in field.operators:
            allowed = " ".join(field.operators)
            raise MalformedQuery(f"{field.name} takes {allowed}, such as {field.example}", at, len(operator))
        self.at = found.end()
        if field.kind in (Kind.TIME, Kind.NUMBER):
            return self._comparison(field, "=" if operator == ":" else operator)
        path = _path(found, field)
        return any_of(_exact(field, path, value, at, length) for value, at, length in self._values(field))

    def _values(self, field: Field) -> Sequence[tuple[str, int, int]]:
        """(value, where, length) of a list joined by commas."""
        found = []
        while True:
            at = self.at
            if self.text[at : at + 1] == '"':
                value = self._quoted()
            elif not (value := self._bare(_VALUE)):
                raise MalformedQuery(f"{field.name}: needs a value{_allowed(field)}, such as {field.example}", at)
            found.append((value, at, self.at - at))
            self.terms += len(found) > 1
            if self.text[self.at : self.at + 1] != ",":
                return found
            self.at += 1
            if self.terms > MOST_TERMS:
                raise MalformedQuery(f"a query has at most {MOST_TERMS} terms, and each value of a list counts", self.at)

    def _comparison(self, field: Field, operator: str) -> Node:
        ((value, at, length), *others) = self._values(field)
        if others:
            raise MalformedQuery(f"{field.name} is compared with one value, such as {field.example}", others[0][1])
        read = _micros if field.kind is Kind.TIME else _number
        return Compare(field.name, operator, read(field, value, at, length))


_NO_KEYWORD = {
    "AND": 'terms side by side must all hold, so AND is not needed; to search for the word, write "AND"',
    "NOT": 'a minus sign negates, such as -tag:nightly; to search for the word, write "NOT"',
}


def unquoted(text: str) -> str:
    """The content of a quoted text."""
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _known_field(found: re.Match[str], language: Language) -> Field:
    name, at = found["name"], found.start("name")
    known = language.field(name)
    if known is not None and (not found["path"] or known.kind is Kind.PAYLOAD):
        return known
    whole = found["name"] + found["path"]
    near = get_close_matches(name.lower(), language.fields, n=1, cutoff=0.6)
    hint = ""
    if near and not found["path"]:
        hint = f"did you mean {near[0]}? "
    elif "payload" in language.fields:
        hint = f"for a value of the payload, write payload.{whole}: "
    words_ = f"there is no field {whole[:60]!r}; {hint}Fields are {language.names}; to search for the text itself, put it in quotes"
    raise MalformedQuery(words_, at, len(whole))


def _path(found: re.Match[str], field: Field) -> tuple[str, ...]:
    if field.kind is not Kind.PAYLOAD:
        return ()
    path = []
    for segment in _SEGMENT.finditer(found["path"]):
        if not segment[1]:
            raise MalformedQuery("a name of the path is missing here", found.start("path") + segment.end())
        path.append(unquoted(segment[1]) if segment[1][0] == '"' else segment[1])
    if not path:
        raise MalformedQuery(f"payload needs a path, such as {field.example}; any text of it is found by the words alone", found.start("operator"))
    return tuple(path)


def _exact(field: Field, path: tuple[str, ...], value: str, at: int, length: int) -> Node:
    if field.kind is Kind.STATE:
        if (state := value.lower()) not in field.values:
            near = get_close_matches(state, field.values, n=1, cutoff=0.6)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise MalformedQuery(f"{value[:60]!r} is no {field.name}.{hint} There are {', '.join(field.values)}", at, length)
        return Is(field.name, state)
    if field.kind is Kind.TEXT:
        _check_words(value, at, length)
        return ErrorSays(value, field.name)
    return PayloadIs(path, value) if field.kind is Kind.PAYLOAD else Is(field.name, value)


def _says(text: str, at: int, length: int) -> Node:
    _check_words(text, at, length)
    return Says(text)


def _check_words(text: str, at: int, length: int) -> None:
    found = words(text)
    if not found:
        raise MalformedQuery("there is no word here: text is found by its words, which are letters and digits", at, length)
    if len(found) > MOST_WORDS:
        raise MalformedQuery(f"a text of {len(found)} words is too long; {MOST_WORDS} are taken at most", at, length)


def _allowed(field: Field) -> str:
    if field.kind is Kind.STATE:
        return f" ({', '.join(field.values)})"
    return f" with a unit ({', '.join(UNITS)})" if field.kind is Kind.TIME else ""


def _micros(field: Field, text: str, at: int, length: int) -> int:
    total, end = 0.0, 0
    while end < len(text):
        part = _TIME_PART.match(text, end)
        if part is None:
            raise MalformedQuery(f"{text[:60]!r} is no length of time; write numbers with units ({', '.join(UNITS)}), such as 1h30m", at, length)
        unit = part[2].lower()
        if unit not in UNITS:
            said = f"{unit!r} is no unit" if unit else f"{part[1]} of what? The unit is missing"
            raise MalformedQuery(f"{said}; units are {', '.join(UNITS)}, such as {field.example}", at + part.start(2), max(len(unit), 1))
        total += float(part[1]) * UNITS[unit] if "." in part[1] else int(part[1]) * UNITS[unit]
        end = part.end()
    if total > LONGEST_TIME:
        raise MalformedQuery("that is longer than a thousand years", at, length)
    return round(total)


def _number(field: Field, text: str, at: int, length: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise MalformedQuery(f"{field.name} is compared with a whole number, such as {field.example}", at, length)
    return int(text)
