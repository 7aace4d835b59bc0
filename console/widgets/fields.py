"""The fields of a form, made from a JSON Schema, and the values that texts in them stand for. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from console.payloads import properties, resolved, types_of, value_of
from contracts import strict_json
from contracts.errors import MalformedJson

Path = tuple[str | int, ...]
Schema = Mapping[str, Any]
DEEPEST = 8


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
    def takes_text(self) -> bool:
        return self.kind == "text" or (self.kind == "json" and "string" in types_of(self.schema))

    @property
    def help(self) -> str:
        """What it takes, and what the schema says of it: kind, description, bounds, default."""
        shown = ", ".join(choice or "nothing" for choice in self.choices)
        kind = {"text": "text (^T: the empty text)", "number": "a number", "flag": "true or false", "choice": f"one of {shown}", "json": "JSON, or text",
                "group": "an object", "list": "a list"}[self.kind]  # fmt: skip
        worded = self.schema.get("x-fault") or {}
        bounds = ", ".join(worded.get(key) or words.format(self.schema[key]) for key, words in _BOUNDS.items() if key in self.schema)
        default = f"default {strict_json.dumps_text(self.schema['default'])}" if "default" in self.schema else ""
        parts = (kind, bounds, "required" if self.required and self.kind != "group" else "", default)
        return ", ".join(part for part in parts if part) + f". {self.schema.get('description') or ''}"


_BOUNDS = {
    "minimum": "at least {}", "exclusiveMinimum": "above {}", "maximum": "at most {}", "exclusiveMaximum": "below {}",
    "minLength": "{} or more characters", "maxLength": "up to {} characters", "minItems": "{} or more items", "maxItems": "up to {} items",
    "pattern": "as {}", "format": "a {}",
}  # fmt: skip


def of_object(schema: Schema, root: Schema, path: Path, lengths: Mapping[Path, int], unknown: Mapping[Path, tuple[str, ...]], depth: int = 0
              ) -> Iterator[Field]:  # fmt: skip
    """The fields of an object; `lengths` are those of its lists, `unknown` the names that a document has besides."""
    required = set(schema.get("required") or ())
    for name, part in properties({**schema, "$defs": root.get("$defs", {})}).items():
        yield from _of(resolved(part, root), root, (*path, name), name, name in required, depth, lengths, unknown)
    for name in unknown.get(path, ()):
        yield Field((*path, name), name, "json", {"description": "The schema does not know this field."}, False, depth)


def _of(schema: Schema, root: Schema, path: Path, label: str, required: bool, depth: int, lengths: Mapping[Path, int],
        unknown: Mapping[Path, tuple[str, ...]]) -> Iterator[Field]:  # fmt: skip
    kinds, items = types_of(schema) - {"null"}, schema.get("items")
    if kinds == {"object"} and schema.get("properties") and depth < DEEPEST:
        yield Field(path, label, "group", schema, required, depth)
        yield from of_object(schema, root, path, lengths, unknown, depth + 1)
    elif kinds == {"array"} and isinstance(items, Mapping) and depth < DEEPEST:
        yield Field(path, label, "list", schema, required, depth)
        for index in range(lengths.get(path, 0)):
            yield from _of(resolved(items, root), root, (*path, index), f"{index + 1}.", True, depth + 1, lengths, unknown)
    else:
        yield Field(path, label, _kind(schema, kinds), schema, required, depth, _choices(schema, required))


def _kind(schema: Schema, kinds: set[str]) -> str:
    if isinstance(schema.get("enum"), list) or "const" in schema:
        return "choice"
    if kinds == {"boolean"}:
        return "flag"
    if kinds and kinds <= {"integer", "number"}:
        return "number"
    return "text" if kinds == {"string"} else "json"


def _values(schema: Schema) -> list[Any]:
    if isinstance(schema.get("enum"), list):
        return list(schema["enum"])
    return [schema["const"]] if "const" in schema else [True, False] if types_of(schema) - {"null"} == {"boolean"} else []


def _choices(schema: Schema, required: bool) -> tuple[str, ...]:
    texts = tuple(_text(value) for value in _values(schema))
    return texts if required or not texts else ("", *texts)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else strict_json.dumps_text(value)


# ---- values -----------------------------------------------------------------------------------------------------


def value(text: str, entry: Field) -> Any:
    """What a text in a field stands for. Raises BadArgument."""
    if entry.kind == "choice":
        return next((found for found in _values(entry.schema) if _text(found) == text), text)
    return value_of(text, entry.schema, entry.label)


def reads_as_json(text: str) -> bool:
    """Whether a text would be taken for another value than itself."""
    try:
        strict_json.loads(text.encode())
    except (MalformedJson, UnicodeEncodeError):
        return False
    return True


def put(whole: Any, path: Path, value: Any) -> None:
    """Sets a value deep in a document, making objects and lists on the way."""
    for part, following in pairwise(path):
        fresh: Any = [] if isinstance(following, int) else {}
        if isinstance(part, int):
            _lengthened(whole, part)
            if whole[part] is None:
                whole[part] = fresh
            whole = whole[part]
        else:
            whole = whole.setdefault(part, fresh)
    last = path[-1]
    if isinstance(last, int):
        _lengthened(whole, last)
    whole[last] = value


def _lengthened(items: list[Any], index: int) -> None:
    while len(items) <= index:
        items.append(None)
