"""Hides the values that a schema marks with `"x-secret": true`."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from contracts import schema_files

REDACTED = "[redacted]"

_IN_PLACE = ("$ref", "$dynamicRef", "if", "then", "else", "not")
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
_FURTHER = ("additionalProperties", "unevaluatedProperties")
_FURTHER_ITEMS = ("contains", "unevaluatedItems")
_NO_SCHEMAS = frozenset({"enum", "const", "default", "examples"})

_KINDS: dict[type, tuple[str, ...]] = {
    dict: ("object",), list: ("array",), str: ("string",), bool: ("boolean",), int: ("integer", "number"), float: ("number", "integer"),
    type(None): ("null",),
}  # fmt: skip

_Place = tuple[Any, dict[str, Any]]  # a subschema, and the document that its references start from


def has_secrets(schema: Any) -> bool:
    """Whether `redact` could change any value of this schema."""
    return _marks_secret(schema, schema if isinstance(schema, dict) else {}, set())


def redact(schema: Any, value: Any) -> Any:
    """The value with `"[redacted]"` for each part that any branch of the schema marks as secret. See `redact_by`."""
    return redact_by([schema], value)


def redact_by(schemas: Iterable[Any], value: Any, *, strict: bool = False) -> Any:
    """The value with `"[redacted]"` for each part that any branch of any of the schemas marks as secret.

    Nothing is changed in place; parts without secrets are shared with the original. It does not matter whether the
    value is valid: branches of allOf, anyOf, oneOf, if, then, else and not count alike, and a reference that leads
    nowhere hides what it would describe. `strict` hides, too, what no schema describes or allows to be of its JSON type:
    in a refused value a secret may stand in a wrong place.
    """
    return _redacted([(schema, schema if isinstance(schema, dict) else {}) for schema in schemas], value, strict)


def secrets_of(schema: Any, value: Any) -> list[Any]:
    """The scalars that stand in the parts which the schema marks as secret, null and booleans left out."""
    found: list[Any] = []
    _gather(value, redact(schema, value), found)
    return found


def _gather(value: Any, shown: Any, found: list[Any]) -> None:
    if value is shown:
        return
    if isinstance(value, dict):
        for name, part in value.items():
            _gather(part, shown.get(name) if isinstance(shown, dict) else REDACTED, found)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _gather(part, shown[index] if isinstance(shown, list) else REDACTED, found)
    elif value is not None and not isinstance(value, bool):
        found.append(value)


def _redacted(places: list[_Place], value: Any, strict: bool) -> Any:
    schemas = list(_applied(places))
    if any(schema.get("x-secret") is True for schema, _ in schemas) or (strict and not _is_described(schemas, value)):
        return REDACTED
    if isinstance(value, dict):
        return _changed(value, {name: _redacted(list(_below(schemas, name)), part, strict) for name, part in value.items()})
    if isinstance(value, list):
        parts = [_redacted(list(_at(schemas, index)), part, strict) for index, part in enumerate(value)]
        return parts if any(new is not old for new, old in zip(parts, value, strict=True)) else value
    return value


def _is_described(schemas: list[tuple[dict[str, Any], dict[str, Any]]], value: Any) -> bool:
    kinds = _KINDS[type(value)]
    said = [schema["type"] for schema, _ in schemas if "type" in schema]
    return bool(schemas) and all(any(kind in kinds for kind in ([each] if isinstance(each, str) else each)) for each in said)


def _changed(value: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    return parts if any(parts[name] is not part for name, part in value.items()) else value


def _applied(places: Iterable[_Place]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every schema that says something of the same value: those given, and all that they apply in place."""
    pending, seen = list(places), set()
    while pending:
        schema, root = pending.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        root = schema if "$id" in schema else root
        yield schema, root
        pending.extend(_in_place(schema, root))


def _in_place(schema: dict[str, Any], root: dict[str, Any]) -> Iterator[_Place]:
    for keyword in _IN_PLACE:
        if keyword in schema:
            target = schema[keyword]
            yield _resolve(target, root) if keyword.startswith("$") else (target, root)
    for keyword in _IN_PLACE_LISTS:
        yield from ((branch, root) for branch in schema.get(keyword, ()))
    yield from ((branch, root) for branch in schema.get("dependentSchemas", {}).values())


def _below(schemas: list[tuple[dict[str, Any], dict[str, Any]]], name: str) -> Iterator[_Place]:
    for schema, root in schemas:
        named = [schema["properties"][name]] if name in schema.get("properties", {}) else []
        named += [part for pattern, part in schema.get("patternProperties", {}).items() if _may_match(pattern, name)]
        yield from ((part, root) for part in named or [schema[word] for word in _FURTHER if word in schema])


def _at(schemas: list[tuple[dict[str, Any], dict[str, Any]]], index: int) -> Iterator[_Place]:
    for schema, root in schemas:
        first = schema.get("prefixItems", ())
        if index < len(first):
            yield first[index], root
        elif "items" in schema:
            yield schema["items"], root
        yield from ((schema[word], root) for word in _FURTHER_ITEMS if word in schema)


def _may_match(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:  # an expression that Python cannot read: hide rather than show
        return True


def _resolve(reference: str, root: dict[str, Any]) -> _Place:
    uri, _, fragment = reference.partition("#")
    try:
        document = schema_files.schema_by_uri(uri) if uri and uri != root.get("$id") else root
        return (_pointed(document, fragment) if fragment[:1] in ("", "/") else _anchored(document, fragment)), document
    except (ValueError, LookupError, TypeError):
        return {"x-secret": True}, root


def _pointed(document: Any, pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


def _anchored(document: Any, anchor: str) -> Any:
    for part in _parts(document):
        if anchor in (part.get("$anchor"), part.get("$dynamicAnchor")):
            return part
    raise LookupError(anchor)


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for name, part in value.items():
            if name not in _NO_SCHEMAS:
                yield from _parts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _parts(part)


def _marks_secret(schema: Any, root: dict[str, Any], seen: set[int]) -> bool:
    """Whether the mark stands anywhere in the schema or in what it refers to; may say yes too often, never no."""
    for part in _parts(schema):
        if id(part) in seen:
            continue
        seen.add(id(part))
        root = part if isinstance(part.get("$id"), str) else root
        if part.get("x-secret") is True:
            return True
        for keyword in ("$ref", "$dynamicRef"):
            if isinstance(part.get(keyword), str):
                target, document = _resolve(part[keyword], root)
                if id(target) not in seen and _marks_secret(target, document, seen):
                    return True
    return False
