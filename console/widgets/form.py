"""A form made from JSON Schemas: fields, what a person typed into them, and the faults of each. Pure.

A form has sections, each a schema and a document. Paths begin with the section's name, so `("payload", "lines", 0)`.
What is typed is kept as text; a field left empty is left out of the document, but an item of a list is not: it is a fault.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from console.payloads import BadArgument
from console.widgets import fields as making
from console.widgets.fields import Field, Path, Schema
from console.widgets.line import Line
from contracts import strict_json
from contracts.redaction import REDACTED

MOVES = {"up": -1, "shift-tab": -1, "down": 1, "tab": 1, "enter": 1}
PAGE = 10
EMPTY_ITEM = "is empty: fill it in, ^D removes it, ^T makes it the empty text"
GIVE_AGAIN = "give it again: the server does not tell secrets"
NO_SECRET = f"give it again: {REDACTED} only stands in its place"


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    title: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class Form:
    """`texts` is what was typed, by path; `lengths` the number of items of each list; `at` the index of the current field.

    `unknown` names what a document held that its schema does not know, by the path of the object; `refused` is what the
    server said of fields, until they are changed. `blank` are the fields whose empty text is meant, `hidden` those whose secret
    the document did not tell.
    """

    sections: tuple[Section, ...]
    texts: Mapping[Path, Line] = field(default_factory=dict)
    lengths: Mapping[Path, int] = field(default_factory=dict)
    unknown: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)
    refused: Mapping[Path, str] = field(default_factory=dict)
    blank: frozenset[Path] = frozenset()
    hidden: frozenset[Path] = frozenset()
    at: int = 0

    # ---- fields -------------------------------------------------------------------------------------------------

    def fields(self) -> list[Field]:
        found: list[Field] = []
        for section in self.sections:
            found += making.of_object(section.schema, section.schema, (section.name,), self.lengths, self.unknown)
        return found

    @property
    def current(self) -> Field | None:
        fields = self.fields()
        return fields[self.at] if self.at < len(fields) else None

    def line(self, path: Path) -> Line:
        return self.texts.get(path, Line())

    # ---- keys ---------------------------------------------------------------------------------------------------

    def press(self, key: str) -> "Form | None":
        """The form after a key; None for a key that means nothing here."""
        if key in MOVES or key in ("pgup", "pgdn"):
            step = MOVES.get(key) or (PAGE if key == "pgdn" else -PAGE)
            return replace(self, at=min(max(self.at + step, 0), len(self.fields())))  # one past the last is the button
        here = self.current
        if here is None:
            return None
        if here.kind == "list":
            return self._resized(here.path, {"+": 1, "right": 1, "space": 1, "-": -1, "left": -1}.get(key))
        if key == "ctrl-d" and (item := _item_of(here.path)) is not None:
            return self._without(item)
        if here.kind in ("flag", "choice"):
            return self._turned(here, {"space": 1, "right": 1, "left": -1}.get(key), key)
        if key == "ctrl-t":
            return self._blanked(here)
        line = self.line(here.path).press(key) if here.kind != "group" else None
        return self.typed(here.path, line) if line is not None else None

    def paste(self, text: str) -> "Form":
        here = self.current
        if here is None or here.kind not in ("text", "number", "json"):
            return self
        return self.typed(here.path, self.line(here.path).insert(text, lines=here.kind == "text"))

    def typed(self, path: Path, line: Line) -> "Form":
        refused = {at: fault for at, fault in self.refused.items() if at != path}
        return replace(self, texts={**self.texts, path: line}, refused=refused, blank=self.blank - {path})

    def _blanked(self, here: Field) -> "Form | None":
        """The empty text is meant here, or no longer."""
        if not here.takes_text:
            return None
        return replace(self.typed(here.path, Line()), blank=self.blank ^ {here.path})

    def _resized(self, path: Path, step: int | None) -> "Form | None":
        if step is None:
            return None
        length = max(self.lengths.get(path, 0) + step, 0)

        def stays(p: Path) -> bool:
            return not (p[: len(path)] == path and len(p) > len(path) and _number(p[len(path)]) >= length)

        texts = {p: line for p, line in self.texts.items() if stays(p)}
        blank, hidden = (frozenset(filter(stays, found)) for found in (self.blank, self.hidden))
        return replace(self, lengths={**self.lengths, path: length}, texts=texts, blank=blank, hidden=hidden)

    def _without(self, item: Path) -> "Form":
        """The form without one item of a list; those behind it move up."""
        path, index = item[:-1], _number(item[-1])

        def moved(p: Path) -> Path | None:
            if p[: len(path)] != path or len(p) <= len(path):
                return p
            number = _number(p[len(path)])
            return p if number < index else None if number == index else (*path, number - 1, *p[len(path) + 1 :])

        texts = {to: line for p, line in self.texts.items() if (to := moved(p)) is not None}
        lengths = {to: count for p, count in self.lengths.items() if (to := moved(p)) is not None}
        unknown = {to: names for p, names in self.unknown.items() if (to := moved(p)) is not None}
        blank, hidden = (frozenset(to for p in found if (to := moved(p)) is not None) for found in (self.blank, self.hidden))
        lengths[path] = max(self.lengths.get(path, 1) - 1, 0)
        shorter = replace(self, texts=texts, lengths=lengths, unknown=unknown, refused={}, blank=blank, hidden=hidden)
        return replace(shorter, at=min(shorter.at, len(shorter.fields())))

    def _turned(self, here: Field, step: int | None, key: str) -> "Form | None":
        choices = here.choices
        if step is None:
            if key in ("backspace", "delete"):
                return self.typed(here.path, Line())
            step_to = next((c for c in choices if len(key) == 1 and c.lower().startswith(key.lower())), None)
            return self.typed(here.path, Line.of(step_to)) if step_to else None
        now = self.line(here.path).text
        return self.typed(here.path, Line.of(choices[(choices.index(now) + step) % len(choices)] if now in choices else choices[0]))

    # ---- the document -------------------------------------------------------------------------------------------

    def document(self, section: str) -> tuple[dict[str, Any], dict[Path, str]]:
        """A section's document, and what is wrong with texts that are no value of their field's type."""
        whole: dict[str, Any] = {}
        wrong: dict[Path, str] = {}
        for entry in self.fields():
            if entry.path[0] != section:
                continue
            if entry.path in self.hidden and not self._is_given(entry.path):
                wrong[entry.path] = GIVE_AGAIN
                continue
            if entry.kind in ("group", "list"):
                if entry.kind == "list" and (self.lengths.get(entry.path) or entry.required):
                    making.put(whole, entry.path[1:], [])
                elif entry.kind == "group" and entry.required:
                    making.put(whole, entry.path[1:], {})
                continue
            text = self.line(entry.path).text
            if text == REDACTED and (entry.is_secret or entry.path in self.hidden):
                wrong[entry.path] = NO_SECRET
                continue
            if not text and entry.path not in self.blank and not (isinstance(entry.path[-1], int) and "" in entry.choices):
                if isinstance(entry.path[-1], int):
                    wrong[entry.path] = EMPTY_ITEM
                continue
            try:
                making.put(whole, entry.path[1:], making.value(text, entry))
            except BadArgument as error:
                wrong[entry.path] = str(error).partition(": ")[2] or str(error)
        return whole, wrong

    def _is_given(self, path: Path) -> bool:
        """Whether anything stands at a path or below it."""
        filled = any(line.text for p, line in self.texts.items() if p[: len(path)] == path)
        return filled or any(p[: len(path)] == path for p in self.blank) or bool(self.lengths.get(path))

    def faults(self) -> Mapping[Path, str]:
        """path -> what is wrong there, by the types, by the schema, and by what the server said."""
        return _faults_of(self)

    def with_refusal(self, section: str, faults: Sequence[tuple[str, str]]) -> tuple["Form", list[str]]:
        """The form with what the server said at its fields (JSON Pointers in a section's document), and what fits none."""
        pointers = self._pointers(section)
        placed = {path: words for pointer, words in faults if (path := _nearest(pointer, pointers)) is not None}
        rest = [f"{pointer} {words}".strip() for pointer, words in faults if _nearest(pointer, pointers) is None]
        return replace(self, refused={**self.refused, **placed}), rest

    def _pointers(self, section: str) -> dict[str, Path]:
        from contracts.wording import pointer_of

        return {pointer_of(entry.path[1:]): entry.path for entry in self.fields() if entry.path[0] == section}

    def found_faults(self) -> dict[Path, str]:
        from contracts import validation  # a tenth of a second, which only a form costs

        found: dict[Path, str] = {}
        for section in self.sections:
            document, wrong = self.document(section.name)
            pointers = self._pointers(section.name)
            for fault in validation.faults(dict(section.schema), document):
                found.setdefault(_nearest(fault.pointer, pointers) or (section.name,), fault.message)
            found.update(wrong)
        return {**found, **self.refused}

    # ---- filled -------------------------------------------------------------------------------------------------

    @classmethod
    def of(cls, sections: Sequence[Section], documents: Mapping[str, Any] | None = None) -> "Form":
        """A form filled with documents, section by section. What a schema does not know gets a field all the same."""
        form = cls(tuple(sections))
        for name, document in (documents or {}).items():
            form = form._filled((name,), document)
        return form

    def _filled(self, path: Path, value: Any) -> "Form":
        entry = next((entry for entry in self.fields() if entry.path == path), None)
        if value == REDACTED:
            return replace(self, hidden=self.hidden | {path})
        if entry is not None and entry.kind not in ("group", "list"):
            return self._valued(entry, value)
        if isinstance(value, Mapping):
            declared = {entry.path[-1] for entry in self.fields() if entry.path[:-1] == path}
            names = tuple(str(name) for name in value if name not in declared)
            form = replace(self, unknown={**self.unknown, path: names}) if names else self
            for name, part in value.items():
                form = form._filled((*path, name), part)
            return form
        if isinstance(value, list):
            form = replace(self, lengths={**self.lengths, path: len(value)})
            for index, part in enumerate(value):
                form = form._filled((*path, index), part)
            return form
        return self.typed(path, Line.of(value if isinstance(value, str) else strict_json.dumps_text(value)))

    def _valued(self, entry: Field, value: Any) -> "Form":
        if value == "" and entry.takes_text:
            return replace(self, blank=self.blank | {entry.path})
        plain = isinstance(value, str) and (entry.kind in ("text", "choice") or not making.reads_as_json(value))
        return self.typed(entry.path, Line.of(value if plain else strict_json.dumps_text(value)))


_last: list[tuple[Form, dict[Path, str]]] = []  # a frame asks several times for the faults of one and the same form


def _faults_of(form: Form) -> Mapping[Path, str]:
    if not _last or _last[0][0] is not form:
        _last[:] = [(form, form.found_faults())]
    return _last[0][1]


def _item_of(path: Path) -> Path | None:
    """The innermost list item that a path lies in."""
    for end in range(len(path), 0, -1):
        if isinstance(path[end - 1], int):
            return path[:end]
    return None


def _number(part: str | int) -> int:
    return part if isinstance(part, int) else -1


def _nearest(pointer: str, pointers: Mapping[str, Path]) -> Path | None:
    """The field at a JSON Pointer, or the nearest one around it."""
    while pointer:
        if pointer in pointers:
            return pointers[pointer]
        pointer = pointer.rpartition("/")[0]
    return None
