"""A form made from JSON Schemas: fields, what a person typed into them, and the faults of each. Pure.

A form has sections, each a schema and a document. Paths begin with the section's name, so `("payload", "lines", 0)`.
What is typed is kept as text; a field left empty is left out of the document.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from console.payloads import BadArgument, properties, resolved, types_of, value_of
from console.widgets.line import Line
from contracts import strict_json

Path = tuple[str | int, ...]
Schema = Mapping[str, Any]
DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    title: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class Field:
    """`kind`: text, number, flag, choice, json, group (an object's heading), list (a list's heading)."""

    path: Path
    label: str
    kind: str
    schema: Schema
    required: bool = False
    depth: int = 0
    choices: tuple[str, ...] = ()

    @property
    def is_secret(self) -> bool:
        return self.schema.get("x-secret") is True

    @property
    def help(self) -> str:
        """What the schema says of it: description, default, bounds."""
        said = [str(self.schema.get("description") or "")]
        if "default" in self.schema:
            said.append(f"default {strict_json.dumps_text(self.schema['default'])}")
        bounds = [f"{word} {self.schema[key]}" for key, word in _BOUNDS.items() if key in self.schema]
        return "; ".join(part for part in (*said, ", ".join(bounds)) if part)


_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below", "minLength": "from characters",
           "maxLength": "up to characters", "minItems": "from items", "maxItems": "up to items"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """`texts` is what was typed, by path; `lengths` the number of items of each list; `at` the index of the current field."""

    sections: tuple[Section, ...]
    texts: Mapping[Path, Line] = field(default_factory=dict)
    lengths: Mapping[Path, int] = field(default_factory=dict)
    at: int = 0

    # ---- fields -------------------------------------------------------------------------------------------------

    def fields(self) -> list[Field]:
        found: list[Field] = []
        for section in self.sections:
            found += self._of_object(section.schema, section.schema, (section.name,), 0)
        return found

    def _of_object(self, schema: Schema, root: Schema, path: Path, depth: int) -> Iterator[Field]:
        required = set(schema.get("required") or ())
        for name, part in properties({**schema, "$defs": root.get("$defs", {})}).items():
            yield from self._of(resolved(part, root), root, (*path, name), name, name in required, depth)

    def _of(self, schema: Schema, root: Schema, path: Path, label: str, required: bool, depth: int) -> Iterator[Field]:
        kinds, items = types_of(schema) - {"null"}, schema.get("items")
        if kinds == {"object"} and schema.get("properties") and depth < DEEPEST:
            yield Field(path, label, "group", schema, required, depth)
            yield from self._of_object(schema, root, path, depth + 1)
        elif kinds == {"array"} and isinstance(items, Mapping) and depth < DEEPEST:
            yield Field(path, label, "list", schema, required, depth)
            for index in range(self.lengths.get(path, 0)):
                yield from self._of(resolved(items, root), root, (*path, index), f"{index + 1}.", True, depth + 1)
        else:
            yield Field(path, label, _kind(schema, kinds), schema, required, depth, _choices(schema, required))

    @property
    def current(self) -> Field | None:
        fields = self.fields()
        return fields[self.at] if self.at < len(fields) else None

    def line(self, path: Path) -> Line:
        return self.texts.get(path, Line())

    # ---- keys ---------------------------------------------------------------------------------------------------

    def press(self, key: str) -> "Form | None":
        """The form after a key; None for a key that means nothing here."""
        fields = self.fields()
        if key in ("up", "shift-tab", "down", "tab", "enter"):
            step = -1 if key in ("up", "shift-tab") else 1
            return replace(self, at=min(max(self.at + step, 0), len(fields)))  # one past the last is the button
        here = self.current
        if here is None:
            return None
        if here.kind == "list":
            return self._resized(here.path, {"+": 1, "right": 1, "-": -1, "left": -1}.get(key))
        if key == "ctrl-d" and (item := _item_of(here.path)) is not None:
            return self._without(item)
        if here.kind in ("flag", "choice"):
            return self._turned(here, {"space": 1, "right": 1, "left": -1}.get(key), key)
        line = self.line(here.path).press(key) if here.kind != "group" else None
        return self.typed(here.path, line) if line is not None else None

    def paste(self, text: str) -> "Form":
        here = self.current
        return self.typed(here.path, self.line(here.path).insert(text)) if here is not None and here.kind in ("text", "number", "json") else self

    def typed(self, path: Path, line: Line) -> "Form":
        return replace(self, texts={**self.texts, path: line})

    def _resized(self, path: Path, step: int | None) -> "Form | None":
        if step is None:
            return None
        length = max(self.lengths.get(path, 0) + step, 0)
        texts = {p: t for p, t in self.texts.items() if not (p[: len(path)] == path and len(p) > len(path) and _number(p[len(path)]) >= length)}
        return replace(self, lengths={**self.lengths, path: length}, texts=texts)

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
        lengths[path] = max(self.lengths.get(path, 1) - 1, 0)
        shorter = replace(self, texts=texts, lengths=lengths)
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
            if entry.kind in ("group", "list"):
                if entry.kind == "list" and (self.lengths.get(entry.path) or entry.required):
                    _put(whole, entry.path[1:], [])
                continue
            text = self.line(entry.path).text
            if not text:
                continue
            try:
                _put(whole, entry.path[1:], _value(text, entry))
            except BadArgument as error:
                wrong[entry.path] = str(error).partition(": ")[2] or str(error)
        return whole, wrong

    def faults(self) -> dict[Path, str]:
        """path -> what is wrong there, by the types and by the schema."""
        from contracts import validation  # a tenth of a second, which only a form costs
        from contracts.wording import pointer_of

        found: dict[Path, str] = {}
        for section in self.sections:
            document, wrong = self.document(section.name)
            pointers = {pointer_of(entry.path[1:]): entry.path for entry in self.fields() if entry.path[0] == section.name}
            for fault in validation.faults(dict(section.schema), document):
                path = _nearest(fault.pointer, pointers) or (section.name,)
                found.setdefault(path, fault.message)
            found.update(wrong)
        return found

    @classmethod
    def of(cls, sections: Sequence[Section], documents: Mapping[str, Any] | None = None) -> "Form":
        """A form filled with documents, section by section."""
        form = cls(tuple(sections))
        for name, document in (documents or {}).items():
            form = form._filled((name,), document)
        return form

    def _filled(self, path: Path, value: Any) -> "Form":
        form = self
        if any(entry.path == path and entry.kind == "json" for entry in self.fields()):
            return self.typed(path, Line.of(strict_json.dumps_text(value)))
        if isinstance(value, Mapping):
            for name, part in value.items():
                form = form._filled((*path, name), part)
            return form
        if isinstance(value, list):
            form = replace(form, lengths={**form.lengths, path: len(value)})
            for index, part in enumerate(value):
                form = form._filled((*path, index), part)
            return form
        return form.typed(path, Line.of(value if isinstance(value, str) else strict_json.dumps_text(value)))


def _kind(schema: Schema, kinds: set[str]) -> str:
    if isinstance(schema.get("enum"), list):
        return "choice"
    if kinds == {"boolean"}:
        return "flag"
    if kinds and kinds <= {"integer", "number"}:
        return "number"
    return "text" if kinds == {"string"} else "json"


def _choices(schema: Schema, required: bool) -> tuple[str, ...]:
    values = schema["enum"] if isinstance(schema.get("enum"), list) else [True, False] if types_of(schema) - {"null"} == {"boolean"} else []
    texts = tuple(value if isinstance(value, str) else strict_json.dumps_text(value) for value in values)
    return texts if required or not texts else ("", *texts)


def _value(text: str, entry: Field) -> Any:
    if entry.kind == "choice":
        return next((v for v in entry.schema["enum"] if (v if isinstance(v, str) else strict_json.dumps_text(v)) == text), text)
    return value_of(text, entry.schema, entry.label)


def _put(whole: Any, path: Path, value: Any) -> None:
    """Sets a value deep in a document, making objects and lists on the way."""
    for part, following in pairwise(path):
        fresh: Any = [] if isinstance(following, int) else {}
        if isinstance(part, int):
            while len(whole) <= part:
                whole.append(None)
            if whole[part] is None:
                whole[part] = fresh
            whole = whole[part]
        else:
            whole = whole.setdefault(part, fresh)
    last = path[-1]
    if isinstance(last, int):
        while len(whole) <= last:
            whole.append(None)
    whole[last] = value


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
